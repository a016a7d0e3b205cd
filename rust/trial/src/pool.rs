// SPDX-License-Identifier: GPL-2.0

//! Workers: processes that make one request after the other. With KASAN, the kernel needs longer
//! to fork one than for what it is asked to do.

use std::{
    cell::{Cell, RefCell},
    collections::{BTreeMap, BTreeSet},
    os::{
        fd::{AsFd, OwnedFd},
        linux::net::SocketAddrExt,
        unix::net::{SocketAddr, UnixDatagram},
    },
    rc::Rc,
};

use anyhow::{ensure, Context, Result};
use nix::{
    errno::Errno,
    fcntl::OFlag,
    poll::{poll, PollFd, PollFlags},
    sys::{
        signal::{kill, Signal},
        wait::{waitpid, WaitPidFlag, WaitStatus},
    },
    unistd::{pipe2, read, write, Pid},
};

use crate::request::{self, Request};

/// In place of an errno: the worker waits for all others, and, once more, it has begun.
const READY: u32 = u32::MAX;
/// Milliseconds that a worker may take to get ready.
const PATIENCE: u16 = 60_000;
const RECORD: usize = 8;

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

/// The workers. While there are any, this process has one thread.
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

/// What the workers have said, each identified by its place among them.
pub struct Replies {
    pipe: OwnedFd,
    ends: RefCell<BTreeMap<usize, i32>>,
    ready: Cell<usize>,
    /// A signal may reach them late.
    spoiled: RefCell<BTreeSet<usize>>,
}

impl Pool {
    /// Without any worker yet.
    pub fn new() -> Result<Self> {
        let (pipe, answer) = pipe2(OFlag::O_NONBLOCK)?;
        let (ends, ready, spoiled) = Default::default();
        Ok(Self {
            workers: vec![],
            orders: UnixDatagram::unbound()?,
            start: nix::unistd::pipe()?,
            answer,
            replies: Rc::new(Replies { pipe, ends, ready, spoiled }),
        })
    }

    /// Makes the requests of `tickets`, with the names of their modules, all at the same moment.
    pub fn start(&mut self, tickets: &[(Ticket, &str)], serve: Serve) -> Result<Vec<Request>> {
        for slot in std::mem::take(&mut *self.replies.spoiled.borrow_mut()) {
            self.workers[slot].end();
            self.workers[slot] = self.fork(slot, serve)?;
        }
        while self.workers.len() < tickets.len() {
            self.workers.push(self.fork(self.workers.len(), serve)?);
        }
        self.replies.ends.borrow_mut().clear();
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
        let pid = request::process(|| self.work(slot, &socket, serve))?;
        Ok(Worker { pid, address })
    }

    /// The life of a worker, until it gives up.
    fn work(&self, slot: usize, socket: &UnixDatagram, serve: Serve) -> i32 {
        let say = |what: u32| {
            let record = [(slot as u32).to_ne_bytes(), what.to_ne_bytes()].concat();
            let _ = write(&self.answer, &record);
        };
        let mut bytes = [0; 12];
        while let Ok(12) = socket.recv(&mut bytes) {
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
        self.replies.spoiled.borrow_mut().clear();
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

impl Replies {
    /// What a worker's request came to, if it has ended.
    pub fn take(&self, slot: usize) -> Result<Option<i32>> {
        self.read()?;
        Ok(self.ends.borrow_mut().remove(&slot))
    }

    /// The worker has ended, or will, before it can take another ticket.
    pub fn spoil(&self, slot: usize) {
        self.spoiled.borrow_mut().insert(slot);
    }

    fn read(&self) -> Result<()> {
        let mut ends = self.ends.borrow_mut();
        let mut buffer = [0; RECORD * 512];
        loop {
            let len = match read(&self.pipe, &mut buffer) {
                Err(Errno::EAGAIN) => return Ok(()),
                len => len?,
            };
            for record in buffer[..len].chunks_exact(RECORD) {
                let (slot, said) = record.split_at(RECORD / 2);
                let number = |half: &[u8]| u32::from_ne_bytes(half.try_into().expect("4 bytes"));
                match number(said) {
                    READY => self.ready.set(self.ready.get() + 1),
                    errno => _ = ends.insert(number(slot) as usize, errno as i32),
                }
            }
        }
    }

    fn wait_until_ready(&self, count: usize) -> Result<()> {
        while self.ready.get() < count {
            let mut fds = [PollFd::new(self.pipe.as_fd(), PollFlags::POLLIN)];
            ensure!(poll(&mut fds, PATIENCE)? > 0, "a worker does not get ready");
            self.read()?;
        }
        self.ready.set(0);
        Ok(())
    }
}

impl Ticket {
    fn encode(self) -> [u8; 12] {
        let mut bytes = [0; 12];
        bytes[..8].copy_from_slice(&self.episode.to_ne_bytes());
        bytes[8..].copy_from_slice(&self.index.to_ne_bytes());
        bytes
    }

    fn decode(bytes: [u8; 12]) -> Self {
        let (episode, index) = bytes.split_at(8);
        Self {
            episode: u64::from_ne_bytes(episode.try_into().expect("8 bytes")),
            index: u32::from_ne_bytes(index.try_into().expect("4 bytes")),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::request::End;

    const TICKET: Ticket = Ticket { episode: 1 << 40, index: 7 };

    #[test]
    fn a_ticket_survives_the_way() {
        assert_eq!(Ticket::decode(TICKET.encode()), TICKET);
    }

    #[test]
    fn a_worker_serves_again_and_a_killed_one_is_replaced() {
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
            request::all_ended(&mut requests, std::time::Duration::from_secs(9), "test").unwrap();
            let ends: Vec<End> = requests.iter().filter_map(|request| request.end).collect();
            assert_eq!(ends, [End::Returned(0), End::Killed, End::Returned(2)]);
        }
    }
}
