// SPDX-License-Identifier: GPL-2.0

//! What the kernel's audit says of this program's calls of the loader.

use std::{
    os::fd::{AsRawFd, OwnedFd},
    str,
};

use anyhow::{ensure, Context, Result};
use guest::{errno::Errno, module::finit};
use nix::sys::{
    socket::{
        bind, recv, send, setsockopt, socket, sockopt::ReceiveTimeout, AddressFamily, MsgFlags,
        NetlinkAddr, SockFlag, SockProtocol, SockType,
    },
    time::{TimeVal, TimeValLike},
};

// Of linux/audit.h.
const ADD_RULE: u16 = 1011;
const SYSCALL: u16 = 1300;
const END_OF_EVENT: u16 = 1320;
const KERN_MODULE: u16 = 1330;
const READLOG: u32 = 1;
const ALWAYS: u32 = 2;
const FILTER_EXIT: u32 = 4;
const MAX_FIELDS: usize = 64;
const BITMASK_SIZE: usize = 64;

const HEADER: usize = size_of::<libc::nlmsghdr>();
/// More than the kernel says at once.
const LONGEST: usize = 16384;
/// Flags that no operation has, of the call that marks the end of what was said before.
const MARK: u32 = 0x7272_6575;

/// A listener to the audit log. The kernel has been booted with `audit=1`, so that all calls of
/// this process are audited.
pub struct Audit {
    socket: OwnedFd,
}

impl Audit {
    /// From now on, each call of the loader is logged.
    pub fn start() -> Result<Self> {
        let (family, protocol) = (AddressFamily::Netlink, SockProtocol::NetlinkAudit);
        let socket = socket(family, SockType::Raw, SockFlag::SOCK_CLOEXEC, protocol)
            .context("no audit in this kernel")?;
        setsockopt(&socket, ReceiveTimeout, &TimeVal::seconds(10))?;
        bind(socket.as_raw_fd(), &NetlinkAddr::new(0, READLOG))?;
        send(socket.as_raw_fd(), &request(ADD_RULE, &rule()), MsgFlags::empty())?;
        Ok(Self { socket })
    }

    /// The names that calls have been logged with since the last look, as the log has them.
    pub fn names(&self) -> Result<Vec<String>> {
        let marked = finit(-1, c"", MARK);
        ensure!(
            marked == Err(Errno(libc::EINVAL)),
            "finit_module() took unknown flags: {marked:?}"
        );
        let (mut names, mut is_marked) = (vec![], false);
        let mut buffer = [0; LONGEST];
        loop {
            let len = recv(self.socket.as_raw_fd(), &mut buffer, MsgFlags::empty())
                .context("audit does not log a call: it needs audit=1")?;
            let (kind, text) = parse(&buffer[..len]).context("an audit record")?;
            match kind {
                SYSCALL => is_marked = text.contains(&format!(" a2={MARK:x} ")),
                KERN_MODULE => names.push(name(text).context("a record of a module")?),
                END_OF_EVENT if is_marked => return Ok(names),
                _ => {}
            }
        }
    }
}

/// A message for the kernel.
fn request(kind: u16, body: &[u8]) -> Vec<u8> {
    let len = (HEADER + body.len()) as u32;
    let mut message = len.to_ne_bytes().to_vec();
    for half in [kind, libc::NLM_F_REQUEST as u16, 0, 0, 0, 0] {
        message.extend(half.to_ne_bytes());
    }
    message.extend(body);
    message
}

/// `struct audit_rule_data`: each call of the loader, when it returns.
fn rule() -> Vec<u8> {
    let mut mask = [0; BITMASK_SIZE];
    for call in [libc::SYS_init_module, libc::SYS_finit_module, libc::SYS_delete_module] {
        mask[call as usize / 32] |= 1 << (call % 32);
    }
    let no_fields = [0; 1 + 3 * MAX_FIELDS];
    let (start, end) = ([FILTER_EXIT, ALWAYS, 0], &no_fields[..]);
    [&start[..], &mask, end].concat().into_iter().flat_map(u32::to_ne_bytes).collect()
}

/// The type of a message and its text. (The length that audit writes into it is not to be
/// trusted.)
fn parse(message: &[u8]) -> Option<(u16, &str)> {
    let kind = u16::from_ne_bytes(message.get(4..6)?.try_into().ok()?);
    let text = str::from_utf8(message.get(HEADER..)?).unwrap_or_default();
    Some((kind, text.trim_end_matches('\0')))
}

/// `audit(TIME:NUMBER): name="NAME"`, quoted unless it has odd characters.
fn name(text: &str) -> Option<String> {
    Some(text.split_once(" name=")?.1.trim_matches('"').to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_record_has_a_type_and_a_name() {
        let message = request(KERN_MODULE, b"audit(1.2:3): name=\"m\"\0");
        let (kind, text) = parse(&message).unwrap();
        assert_eq!((kind, name(text).as_deref()), (KERN_MODULE, Some("m")));
        assert_eq!(name("audit(1.2:3): name=6D0A").as_deref(), Some("6D0A"));
        assert_eq!(parse(&message[..8]), None);
    }

    #[test]
    fn the_rule_is_as_long_as_the_kernel_wants() {
        assert_eq!(rule().len(), 4 * (3 + BITMASK_SIZE + 3 * MAX_FIELDS + 1));
    }
}
