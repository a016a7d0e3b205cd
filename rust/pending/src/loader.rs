// SPDX-License-Identifier: GPL-2.0

//! The C side of the loader, as far as it calls the interface or moves modules through their
//! states: who calls, in which order. What a claim is, and what becomes of it, is in `claim.rs`.

use std::{
    collections::BTreeMap,
    ffi::CStr,
    ptr,
    sync::{Arc, Mutex},
};

use kernel::{
    bindings::{file, mod_claim, MOD_LOAD_AGAIN},
    ffi::c_long,
    machine,
    modules::{self, Module, COMING, GOING, LIVE, UNFORMED},
    seq_file::SeqFile,
    str::CStrExt as _,
    sync::rcu,
    uaccess,
};

use super::{
    elf,
    pending::claim::{
        mod_claim_end, mod_claim_file, mod_claim_init, mod_claim_live, mod_claim_memory,
        mod_claim_name, mod_pending_show, mod_wait_loaded,
    },
};

use errno::{EBUSY, EEXIST, EINPROGRESS, ENOENT};

/// What the interface returns, as C has it.
pub mod errno {
    #![expect(missing_docs, reason = "the names say it")]

    pub const EPERM: i32 = -1;
    pub const ENOENT: i32 = -2;
    pub const EINTR: i32 = -4;
    pub const ENOEXEC: i32 = -8;
    pub const ENOMEM: i32 = -12;
    pub const EFAULT: i32 = -14;
    pub const EBUSY: i32 = -16;
    pub const EEXIST: i32 = -17;
    pub const ENODEV: i32 = -19;
    pub const EINPROGRESS: i32 = -115;
    pub const ERESTARTSYS: i32 = -512;
}

/// What a request gets that is to start over.
pub const AGAIN: i32 = MOD_LOAD_AGAIN as i32;

/// Images up to this size are looked at only while some load is pending.
pub const SMALL: usize = 256 << 10;

/// For how many jiffies a load waits for one that it needs.
const PATIENCE: c_long = 30 * 250;

/// Runs `test` on a machine with an empty list of pending loads, as often as the backend wants.
pub fn explore(test: impl Fn() + Send + Sync + 'static) {
    machine::explore(move || {
        // SAFETY: It is the first call on this machine.
        assert_eq!(unsafe { mod_claim_init() }, 0);
        test();
    });
}

/// An image in user memory that is not copied yet.
#[derive(Clone, Copy, Debug)]
pub struct Image {
    /// Its address.
    pub start: usize,
    /// How long it is said to be.
    pub len: usize,
}

impl Image {
    /// A large image that seems to be the module of a name. There is one for each name, for ever.
    pub fn large(name: &CStr) -> Self {
        Self { len: SMALL + 1, ..Self::small(name) }
    }

    /// The same in a small image.
    pub fn small(name: &CStr) -> Self {
        static IMAGES: Mutex<BTreeMap<Vec<u8>, usize>> = Mutex::new(BTreeMap::new());
        let mut images = IMAGES.lock().unwrap();
        let new = || uaccess::map(elf::image_of(name).leak());
        let start = *images.entry(name.to_bytes().into()).or_insert_with(new);
        Self { start, len: SMALL }
    }
}

/// What a system call has of a name.
#[derive(Default)]
pub struct Claim(mod_claim);

// SAFETY: The loads in it are made to be shared between tasks.
unsafe impl Send for Claim {}

impl Claim {
    /// Looks at an image in user memory.
    pub fn look(&mut self, image: Image) -> i32 {
        let start = ptr::with_exposed_provenance(image.start);
        // SAFETY: The claim is this one's alone, and began as zeroes.
        unsafe { mod_claim_memory(&mut self.0, start, image.len) }
    }

    /// Looks at an image in a file.
    pub fn look_at_file(&mut self, file: &mut file, len: i64) -> i32 {
        // SAFETY: As above, and the file is a file.
        unsafe { mod_claim_file(&mut self.0, file, len) }
    }

    /// Claims the name of an image that is checked.
    pub fn name(&mut self, name: &CStr, refused: i32) -> i32 {
        // SAFETY: As above, and the name is a string.
        unsafe { mod_claim_name(&mut self.0, name.as_char_ptr(), refused) }
    }

    /// Tells that the module is live.
    pub fn live(&mut self) {
        // SAFETY: As above.
        unsafe { mod_claim_live(&mut self.0) }
    }

    /// Ends the claim.
    pub fn end(&mut self, ret: i32) -> i32 {
        // SAFETY: As above.
        unsafe { mod_claim_end(&mut self.0, ret) }
    }

    /// Waits as a duplicate.
    pub fn wait(mut self) -> i32 {
        self.end(EINPROGRESS)
    }

    /// Succeeds as an owner.
    pub fn succeed(mut self) {
        self.live();
        assert_eq!(self.end(0), 0);
    }

    /// Fails as an owner.
    pub fn fail(mut self, error: i32) {
        assert_eq!(self.end(error), error);
    }

    /// Fails as an owner that a signal ends, which the task handles then.
    pub fn interrupt(self) {
        kernel::task::current().signal();
        self.fail(errno::ERESTARTSYS);
        kernel::task::current().handle_signal();
    }

    /// Tells the load that it has, or has a share in, from all others.
    pub fn id(&self) -> usize {
        self.0.load.addr()
    }
}

impl Drop for Claim {
    fn drop(&mut self) {
        if !std::thread::panicking() {
            assert_eq!(self.0.role, 0, "a claim was not ended");
        }
    }
}

/// Claims a name: what that returned if it is neither owned nor pending.
///
/// # Errors
///
/// What [`Claim::name`] returned.
pub fn claim(name: &CStr) -> Result<(Claim, bool), i32> {
    let mut claim = Claim::default();
    match claim.name(name, 0) {
        0 => Ok((claim, true)),
        EINPROGRESS => Ok((claim, false)),
        error => {
            assert_eq!(claim.end(error), error);
            Err(error)
        }
    }
}

/// Claims a name that is free.
pub fn own(name: &CStr) -> Claim {
    let mut claim = Claim::default();
    assert_eq!(claim.name(name, 0), 0, "{name:?} is not free");
    claim
}

/// Claims a name that is pending.
pub fn join(name: &CStr) -> Claim {
    let mut claim = Claim::default();
    assert_eq!(claim.name(name, 0), EINPROGRESS, "{name:?} is not pending");
    claim
}

/// Copies an image that seems to have a name, and does not wait.
pub fn copy(name: &CStr) -> Claim {
    let mut claim = Claim::default();
    assert_eq!(claim.look(Image::large(name)), 0, "{name:?} is not free");
    claim
}

/// Sleeps until no load of a module is pending.
pub fn wait_for(name: &CStr, timeout: c_long) -> c_long {
    // SAFETY: The name is a string.
    unsafe { mod_wait_loaded(name.as_char_ptr(), timeout) }
}

/// What an administrator sees of the pending loads: a line each.
pub fn shown() -> Vec<String> {
    let mut file = SeqFile::default();
    // SAFETY: The file is valid, and nobody else has it.
    unsafe { mod_pending_show(&mut file) };
    file.into_text().lines().skip(1).map(str::to_owned).collect()
}

/// A part of a load that a test fills in. It returns 0 or an error.
type Step = Arc<dyn Fn() -> i32 + Send + Sync>;

/// A call of `init_module()`.
#[derive(Clone)]
pub struct Request {
    seems: Option<Image>,
    is: Result<&'static CStr, i32>,
    arguments: i32,
    needs: Option<&'static CStr>,
    may: Step,
    copy: Step,
    init: Step,
    asynchronous: Step,
}

impl Request {
    /// With an image of a module that nobody looks at, as it is compressed.
    pub fn compressed(name: &'static CStr) -> Self {
        let nothing: Step = Arc::new(|| 0);
        Self {
            seems: None,
            is: Ok(name),
            arguments: 0,
            needs: None,
            may: nothing.clone(),
            copy: nothing.clone(),
            init: nothing.clone(),
            asynchronous: nothing,
        }
    }

    /// With a small image of a module.
    pub fn small(name: &'static CStr) -> Self {
        Self { seems: Some(Image::small(name)), ..Self::compressed(name) }
    }

    /// With a large image of a module.
    pub fn large(name: &'static CStr) -> Self {
        Self { seems: Some(Image::large(name)), ..Self::compressed(name) }
    }

    /// The image turns out to have this name, or to be a bad one.
    pub fn which_is(self, is: Result<&'static CStr, i32>) -> Self {
        Self { is, ..self }
    }

    /// The arguments cannot be copied.
    pub fn with_bad_arguments(self, error: i32) -> Self {
        Self { arguments: error, ..self }
    }

    /// The module needs a symbol of another one.
    pub fn which_needs(self, needs: &'static CStr) -> Self {
        Self { needs: Some(needs), ..self }
    }

    /// Whether loading is permitted.
    pub fn if_permitted(self, may: impl Fn() -> i32 + Send + Sync + 'static) -> Self {
        Self { may: Arc::new(may), ..self }
    }

    /// What happens while the image is copied.
    pub fn copied_by(self, copy: impl Fn() -> i32 + Send + Sync + 'static) -> Self {
        Self { copy: Arc::new(copy), ..self }
    }

    /// The module's init function.
    pub fn with_init(self, init: impl Fn() -> i32 + Send + Sync + 'static) -> Self {
        Self { init: Arc::new(init), ..self }
    }

    /// What the module's init function leaves to do, which its load waits for.
    pub fn and_later(self, asynchronous: impl Fn() -> i32 + Send + Sync + 'static) -> Self {
        Self { asynchronous: Arc::new(asynchronous), ..self }
    }

    /// `init_module()`
    pub fn call(&self) -> i32 {
        loop {
            let error = (self.may)();
            if error != 0 {
                return error;
            }
            let ret = self.init_module_from_user();
            if ret != AGAIN {
                return ret;
            }
        }
    }

    fn init_module_from_user(&self) -> i32 {
        let mut claim = Claim::default();
        let error = self.seems.map_or(0, |image| claim.look(image));
        if error != 0 {
            return claim.end(error);
        }
        let error = (self.copy)();
        if error != 0 {
            return claim.end(error);
        }
        let ret = self.load_module(&mut claim);
        claim.end(ret)
    }

    fn load_module(&self, claim: &mut Claim) -> i32 {
        let name = match self.is {
            Ok(name) => name,
            Err(error) => return error,
        };
        match claim.name(name, self.arguments) {
            0 => self.bring_up(name, claim),
            error => error,
        }
    }

    fn bring_up(&self, name: &CStr, claim: &mut Claim) -> i32 {
        assert_eq!(modules::count(name), 0, "an owner finds a module of its name");
        let module = Module::add(name, UNFORMED);
        let error = self.needs.map_or(0, resolve);
        if error != 0 {
            module.free();
            return error;
        }
        module.set_state(COMING);
        match (self.init)() {
            0 => {}
            error => {
                unload(module);
                return if error == EEXIST { EBUSY } else { error };
            }
        }
        module.set_state(LIVE);
        claim.live();
        let ret = (self.asynchronous)();
        module.put();
        ret
    }
}

/// Finds a symbol of a module, or waits for it.
fn resolve(name: &CStr) -> i32 {
    let mut left = PATIENCE;
    while left > 0 {
        match modules::state(name) {
            Some(LIVE) => return 0,
            Some(COMING) => left = wait_for(name, left),
            _ => return ENOENT,
        }
    }
    if left < 0 {
        left as i32
    } else {
        EBUSY
    }
}

/// Removes a module, as `delete_module()` does, and `do_init_module()` on failure.
pub fn unload(module: Module) {
    module.set_state(GOING);
    rcu::synchronize_rcu();
    module.free();
}

/// Removes the module of a name, unless it is not live or in use, as it is before its load returns.
pub fn remove(name: &CStr) -> bool {
    modules::take_unused(name).map(unload).is_some()
}
