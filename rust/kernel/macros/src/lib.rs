// SPDX-License-Identifier: GPL-2.0

//! The attribute macros of the stand-in kernel crate.

use proc_macro::TokenStream;
use quote::quote;
use syn::{parse_macro_input, DeriveInput, ItemFn};

/// Gives a function its C name, after a check against its declaration in `kernel::bindings`.
#[proc_macro_attribute]
pub fn export(_attribute: TokenStream, item: TokenStream) -> TokenStream {
    let function = parse_macro_input!(item as ItemFn);
    let name = &function.sig.ident;
    quote! {
        // The arms of a conditional have one type.
        const _: () = { if true { ::kernel::bindings::#name } else { #name }; };

        #[no_mangle]
        #function
    }
    .into()
}

/// Implements `Zeroable` for a type whose fields are.
#[proc_macro_derive(Zeroable)]
pub fn zeroable(item: TokenStream) -> TokenStream {
    let name = parse_macro_input!(item as DeriveInput).ident;
    quote! {
        // SAFETY: It is derived for integers only.
        unsafe impl ::kernel::prelude::Zeroable for #name {}
    }
    .into()
}
