// SPDX-License-Identifier: GPL-2.0

//! Workers: processes that make one request after the other. With KASAN, the kernel needs longer
//! to fork one than for what it is asked to do.

use std::{
    os::{
        fd::OwnedFd,
        linux::net::SocketAddrExt,
        unix::net::{SocketAddr, UnixDatagram},
    },
    rc::Rc,
};

use anyhow::{Context, Result};
use guest::process;
use nix::{
    fcntl::OFlag,
    sys::{
        signal::{kill, Signal},
        wait::{waitpid, WaitPidFlag, WaitStatus},
    },
    unistd::{pipe2, read, write, Pid},
};

use crate::{
    replies::{self, Replies, READY},
    request::Request,
};

/// Which request: of which episode, counted from 0.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Ticket {
    /// What the episode follows from.
    pub episode: u64,
    /// Which of its requests.
    pub index: u32,
}

/// Makes the request of a ticket, and calls the function right before: it returns when all others
/// of its episode are as far. Runs in a worker; the errno, or 0.
pub type Serve<'a> = &'a dyn Fn(Ticket, &mut dyn FnMut()) -> i32;

/// The workers.
pub struct Pool {
    workers: Vec<Worker>,
    orders: UnixDatagram,
    /// A byte for each worker that may begin.
    start: (OwnedFd, OwnedFd),
    answer: OwnedFd,
    replies: Rc<Replies>,
}

struct Worker {
    pid: Pid,
    address: SocketAddr,
}

impl Pool {
    /// Without any worker yet.
    pub fn new() -> Result<Self> {
        let (pipe, answer) = pipe2(OFlag::O_NONBLOCK)?;
        Ok(Self {
            workers: vec![],
            orders: UnixDatagram::unbound()?,
            start: nix::unistd::pipe()?,
            answer,
            replies: Rc::new(Replies::new(pipe)),
        })
    }

    /// Makes the requests of `tickets`, with the names of their modules, all at the same moment.
    pub fn start(&mut self, tickets: &[(Ticket, &str)], serve: Serve) -> Result<Vec<Request>> {
        for slot in self.replies.take_spoiled() {
            self.workers[slot].end();
            self.workers[slot] = self.fork(slot, serve)?;
        }
        while self.workers.len() < tickets.len() {
            self.workers.push(self.fork(self.workers.len(), serve)?);
        }
        self.replies.forget();
        let mut requests = vec![];
        for (slot, (worker, (ticket, module))) in self.workers.iter().zip(tickets).enumerate() {
            self.orders.send_to_addr(&ticket.encode(), &worker.address)?;
            requests.push(Request::of_worker(worker.pid, module, slot, &self.replies));
        }
        self.replies.wait_until_ready(tickets.len())?;
        write(&self.start.1, &vec![0; tickets.len()])?;
        // One wakes the next: until then one that sleeps may not have begun.
        self.replies.wait_until_ready(tickets.len())?;
        Ok(requests)
    }

    fn fork(&self, slot: usize, serve: Serve) -> Result<Worker> {
        let address =
            SocketAddr::from_abstract_name(format!("trial-{}-{slot}", std::process::id()))?;
        let socket = UnixDatagram::bind_addr(&address).context("no socket for a worker")?;
        let pid = process::fork(|| self.work(slot, &socket, serve))?;
        Ok(Worker { pid, address })
    }

    /// The life of a worker, until it gives up.
    fn work(&self, slot: usize, socket: &UnixDatagram, serve: Serve) -> i32 {
        let say = |what: u32| {
            let _ = write(&self.answer, &replies::record(slot, what));
        };
        let mut bytes = [0; 16];
        while let Ok(16) = socket.recv(&mut bytes) {
            let errno = serve(Ticket::decode(bytes), &mut || {
                say(READY);
                let _ = read(&self.start.0, &mut [0]);
                say(READY);
            });
            say(errno as u32);
        }
        1
    }

    /// Ends all workers, so that nothing of them is in memory.
    pub fn clear(&mut self) {
        self.workers.drain(..).for_each(|worker| worker.end());
        self.replies.take_spoiled();
    }
}

impl Drop for Pool {
    fn drop(&mut self) {
        self.clear();
    }
}

impl Worker {
    /// It may have ended before.
    fn end(&self) {
        if waitpid(self.pid, Some(WaitPidFlag::WNOHANG)) == Ok(WaitStatus::StillAlive) {
            let _ = kill(self.pid, Signal::SIGKILL);
            let _ = waitpid(self.pid, None);
        }
    }
}

impl Ticket {
    fn encode(self) -> [u8; 16] {
        (u128::from(self.episode) << 32 | u128::from(self.index)).to_ne_bytes()
    }

    fn decode(bytes: [u8; 16]) -> Self {
        let number = u128::from_ne_bytes(bytes);
        Self { episode: (number >> 32) as u64, index: number as u32 }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::request::{all_ended, End};
    use nix::unistd::{fork, ForkResult};
    use std::{panic, time::Duration};

    const TICKET: Ticket = Ticket { episode: 1 << 40, index: 7 };

    #[test]
    fn a_ticket_survives_the_way() {
        assert_eq!(Ticket::decode(TICKET.encode()), TICKET);
    }

    #[test]
    fn a_worker_serves_again_and_a_killed_one_is_replaced() {
        // A pool is for a process of one thread, as the child of a test is.
        // SAFETY: glibc has memory for the child; no other lock is needed there.
        if let ForkResult::Parent { child } = unsafe { fork() }.unwrap() {
            assert_eq!(waitpid(child, None), Ok(WaitStatus::Exited(child, 0)));
            return;
        }
        let end = panic::catch_unwind(serve_and_replace);
        // SAFETY: The harness goes on in the parent.
        unsafe { libc::_exit(i32::from(end.is_err())) }
    }

    fn serve_and_replace() {
        let serve: Serve = &|ticket, wait| {
            wait();
            if ticket.index == 1 {
                nix::unistd::pause();
            }
            ticket.index as i32
        };
        let tickets = [0, 1, 2].map(|index| (Ticket { index, ..TICKET }, "m"));
        let mut pool = Pool::new().unwrap();
        for _ in 0..2 {
            let mut requests = pool.start(&tickets, serve).unwrap();
            requests[1].signal(Signal::SIGKILL).unwrap();
            all_ended(&mut requests, Duration::from_secs(9), "requests").unwrap();
            let ends: Vec<End> = requests.iter().filter_map(|request| request.end).collect();
            assert_eq!(ends, [End::Returned(0), End::Killed, End::Returned(2)]);
        }
    }
}
