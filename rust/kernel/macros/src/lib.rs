// SPDX-License-Identifier: GPL-2.0

//! The attribute macros of the stand-in kernel crate.

use proc_macro::TokenStream;
use quote::quote;
use syn::{parse_macro_input, ItemFn};

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
