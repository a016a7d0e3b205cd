// SPDX-License-Identifier: GPL-2.0
//! The source of a kernel as Debian packs it, as one commit.

use std::io::{BufWriter, Read, Write};
use std::path::{Path, PathBuf};
use std::process::Stdio;

use anyhow::{bail, Context, Result};
use tar::{Archive, EntryType};

use crate::system::child;
use crate::system::git::{Git, DATE, EMAIL, NAME};

/// One commit of all files, straight from the archive: unpacking 95,000 files, to
/// remove them again, takes several times as long.
pub fn commit(git: &Git, subject: &str, tarball: &Path) -> Result<()> {
    let mut xz = child::spawn(child::command("xz").args(["-dc"]).arg(tarball).stdout(Stdio::piped()))?;
    let words = ["-c", "core.compression=1", "fast-import", "--quiet", "--depth=0"];
    let mut importer = child::spawn(git.cmd(words).stdin(Stdio::piped())).inspect_err(|_| drop(xz.kill()))?;
    let (Some(archive), Some(stream)) = (xz.stdout.take(), importer.stdin.take()) else {
        bail!("no pipes to xz and git");
    };
    let written = write_commit(subject, archive, BufWriter::new(stream));
    let (xz, importer) = (xz.wait()?, importer.wait()?);
    child::fail_if_interrupted()?;
    // Of a broken pipe it is the program at the other end that knows the reason.
    if !xz.success() || !importer.success() {
        bail!("{} cannot be read", tarball.display());
    }
    written
}

/// The language of git-fast-import(1).
fn write_commit(subject: &str, archive: impl Read, mut stream: impl Write) -> Result<()> {
    let subject = format!("{subject}\n");
    write!(stream, "commit refs/heads/linux\ncommitter {NAME} <{EMAIL}> {DATE} +0000\n")?;
    write!(stream, "data {}\n{subject}", subject.len())?;
    for entry in Archive::new(archive).entries()? {
        child::fail_if_interrupted()?;
        let mut entry = entry?;
        let path: PathBuf = entry.path()?.components().skip(1).collect();
        let mut content = vec![];
        let mode = match entry.header().entry_type() {
            EntryType::Symlink => {
                content.extend(entry.link_name_bytes().context("a link to nowhere")?.as_ref());
                "120000"
            }
            EntryType::Regular => {
                entry.read_to_end(&mut content)?;
                if entry.header().mode()? & 0o100 == 0 {
                    "100644"
                } else {
                    "100755"
                }
            }
            EntryType::Directory => continue,
            other => bail!("{} is of an unexpected type: {other:?}", path.display()),
        };
        if path == Path::new(".gitignore") {
            content.truncate(without_debian(&String::from_utf8_lossy(&content)).len());
        }
        write!(stream, "M {mode} inline {}\ndata {}\n", path.display(), content.len())?;
        stream.write_all(&content)?;
        stream.write_all(b"\n")?;
    }
    Ok(stream.flush()?)
}

/// Debian ignores every file at the top, and so every file that is new; in mainline
/// git sees new files.
pub fn without_debian(gitignore: &str) -> &str {
    gitignore.find("\n#\n# Debian packaging").map_or(gitignore, |end| &gitignore[..end])
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::io::Cursor;

    use tar::{Builder, Header};

    use super::*;

    /// An archive of a kernel, as Debian packs it.
    fn archive(extra: Option<EntryType>) -> Vec<u8> {
        let mut tar = Builder::new(vec![]);
        let mut add = |name: &str, kind: EntryType, mode: u32, content: &str| {
            let mut header = Header::new_gnu();
            header.set_entry_type(kind);
            header.set_mode(mode);
            if kind == EntryType::Symlink {
                header.set_size(0);
                tar.append_link(&mut header, name, content).unwrap();
            } else {
                header.set_size(content.len() as u64);
                tar.append_data(&mut header, name, content.as_bytes()).unwrap();
            }
        };
        add("linux/", EntryType::Directory, 0o755, "");
        add("linux/.gitignore", EntryType::Regular, 0o644, "*.o\n\n#\n# Debian packaging\n#\n/*\n");
        add("linux/Makefile", EntryType::Regular, 0o664, "VERSION = 7\n");
        add("linux/a folder/run.sh", EntryType::Regular, 0o775, "#!/bin/sh\n");
        add("linux/empty", EntryType::Regular, 0o600, "");
        add("linux/link", EntryType::Symlink, 0o777, "a folder/run.sh");
        let long = format!("linux/{}/file", ["long"; 40].join("/"));
        add(&long, EntryType::Regular, 0o644, "no newline at the end");
        if let Some(kind) = extra {
            add("linux/extra", kind, 0o644, "");
        }
        tar.into_inner().unwrap()
    }

    /// What git has made of the stream.
    fn imported(stream: Vec<u8>) -> (tempfile::TempDir, Git) {
        let dir = tempfile::tempdir().unwrap();
        let git = Git::at(dir.path());
        git.capture(["init", "-q", "--bare", "-b", "linux", "."]).unwrap();
        let file = dir.path().join("stream");
        fs::write(&file, stream).unwrap();
        let mut import = git.cmd(["fast-import", "--quiet"]);
        assert!(import.stdin(fs::File::open(file).unwrap()).status().unwrap().success());
        (dir, git)
    }

    #[test]
    fn an_archive_becomes_one_commit() {
        let mut stream = vec![];
        write_commit("Linux 7 – é", Cursor::new(archive(None)), &mut stream).unwrap();
        let (_dir, git) = imported(stream);
        git.capture(["fsck", "--strict"]).unwrap();
        let tree = git.capture(["ls-tree", "-r", "--format=%(objectmode) %(path)", "linux"]).unwrap();
        let long = format!("100644 {}/file", ["long"; 40].join("/"));
        let files = [
            "100644 .gitignore",
            "100644 Makefile",
            "100755 a folder/run.sh",
            "100644 empty",
            "120000 link",
            &long,
        ];
        assert_eq!(tree.lines().collect::<Vec<_>>(), files);
        let show = |what: &str| git.capture(["show", &format!("linux:{what}")]).unwrap();
        assert_eq!(show(".gitignore"), "*.o");
        assert_eq!(show("link"), "a folder/run.sh");
        assert_eq!(show("empty"), "");
        assert_eq!(show(&long["100644 ".len()..]), "no newline at the end");
        assert_eq!(
            git.capture(["log", "--format=%s|%an|%ct", "linux"]).unwrap(),
            format!("Linux 7 – é|{NAME}|{DATE}")
        );
    }

    #[test]
    fn a_file_of_another_type_is_refused() {
        let error = write_commit("x", Cursor::new(archive(Some(EntryType::Fifo))), vec![]).unwrap_err();
        assert_eq!(error.to_string(), "extra is of an unexpected type: Fifo");
    }

    #[test]
    fn debians_ignores_are_dropped() {
        let mainline = "*.o\n!timeconst.bc\n";
        let debian = format!("{mainline}\n#\n# Debian packaging: ignore everything\n#\n/*\n!/debian/\n");
        assert_eq!(without_debian(&debian), mainline);
        assert_eq!(without_debian(mainline), mainline);
    }
}
