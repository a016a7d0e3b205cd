// SPDX-License-Identifier: GPL-2.0
//! `submit`: the series as mails, addressed and ready to be sent, in `build/submit/`.
//! It sends nothing.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{bail, Context, Result};
use email_encoding::headers::{rfc2047, writer::EmailWriter};

use crate::results::letter;
use crate::series::export::{self, Range};
use crate::series::{patches, stamps, tree};
use crate::system::{child, git::Git, options::Options, project::Project};

const DEST: &str = "build/submit";
/// All mails in one file of that folder.
const MAILBOX: &str = "series.mbx";

type Addresses = BTreeSet<String>;

/// Whom a mail goes to: who decides on it, and who is told.
#[derive(Clone, Default)]
struct Recipients {
    to: Addresses,
    cc: Addresses,
}

struct Mail {
    name: String,
    text: String,
    recipients: Recipients,
}

pub fn run(project: &Project) -> Result<()> {
    let git = tree::current(project)?;
    stamps::fail_unless_tested(project, &git)?;
    stamps::fail_unless_checked(project, &git)?;
    if letter::outdated(project, &git)?.is_some() {
        bail!("the numbers of the cover letter are not the last ones: run make patches first");
    }
    let sender = sender(&project.root)?;
    let mails = project.ui.step("write the mails", |_| write(&git, &sender, &project.opts))?;
    save(project, &mails)?;
    for mail in &mails {
        println!("{}: To {}, Cc {}", mail.name, mail.recipients.to.len(), mail.recipients.cc.len());
    }
    if !project.opts.signoff {
        println!("without your Signed-off-by, which the kernel asks for: make submit SIGNOFF=1 adds it");
    }
    println!("Recipients can apply them in a kernel tree: b4 am -m {DEST}/{MAILBOX} {}", id(&mails)?);
    println!(
        "Read the mails, then: git send-email --no-thread --confirm=always --to-cmd=true {DEST}/*.patch"
    );
    println!("{} mails are in {DEST}/; nothing is sent", mails.len());
    Ok(())
}

/// Name and address of the user, from git's configuration.
fn sender(dir: &Path) -> Result<[String; 2]> {
    let get = |name: &str| {
        let mut git = child::command("git");
        git.arg("-C").arg(dir).args(["config", "--default", "", "--get", name]);
        let value = child::capture(&mut git)?;
        let value = value.trim().to_owned();
        if value.is_empty() {
            bail!("git does not know who sends the mails: git config --global {name} ...");
        }
        Ok(value)
    };
    Ok([get("user.name")?, get("user.email")?])
}

fn write(git: &Git, sender: &[String; 2], opts: &Options) -> Result<Vec<Mail>> {
    let [name, address] = sender;
    let range = match &opts.set {
        Some(set) => Range::set(git, set)?,
        None => Range::whole(&git.branch()?),
    };
    let date = git.capture(["log", "-1", "--format=%aI"])?;
    let from = format!("--from={name} <{address}>");
    let mut options = vec![from.as_str(), "--thread"];
    options.extend(opts.signoff.then_some("--signoff"));
    let files = export::mails(git, &range, [name, address, date.as_str()].into_iter(), &options)?;

    let mut mails = vec![];
    let mut all = Recipients::default();
    for (path, content) in files {
        let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
        let text = String::from_utf8(content).with_context(|| format!("{name} is not UTF-8"))?;
        let recipients = match patches::is_cover(&path) {
            true => Recipients::default(),
            false => recipients(git, &text)?,
        };
        all.to.extend(recipients.to.iter().cloned());
        all.cc.extend(recipients.cc.iter().cloned());
        mails.push(Mail { name, text, recipients });
    }
    all.cc.retain(|address| !all.to.contains(address));
    for mail in &mut mails {
        if patches::is_cover(Path::new(&mail.name)) {
            mail.recipients = all.clone();
        }
        mail.text = addressed(&mail.text, &mail.recipients)?;
    }
    Ok(mails)
}

/// That of the first mail, which the others answer to: the cover letter, if there is one.
fn id(mails: &[Mail]) -> Result<&str> {
    let first = &mails.first().context("no mails")?.text;
    let line = first.lines().find(|line| line.to_ascii_lowercase().starts_with("message-id: <"));
    line.and_then(|line| line.split(['<', '>']).nth(1)).context("git gave the first mail no Message-ID")
}

/// What the tree's own script says of a patch.
fn recipients(git: &Git, patch: &str) -> Result<Recipients> {
    let file = tempfile::NamedTempFile::new()?;
    fs::write(&file, patch)?;
    let ask = |roles: &[&str]| -> Result<Addresses> {
        let mut cmd = child::command(git.dir.join("scripts/get_maintainer.pl"));
        cmd.current_dir(&git.dir).args(["--no-git-fallback", "--norolestats"]).args(roles).arg(file.path());
        Ok(child::capture(&mut cmd)?.lines().map(str::to_owned).collect())
    };
    let to = ask(&["--nor", "--nol"])?;
    let mut cc = ask(&["--nom"])?;
    cc.retain(|address| !to.contains(address));
    if to.is_empty() {
        bail!("scripts/get_maintainer.pl knows nobody for a patch: see MAINTAINERS in linux/");
    }
    Ok(Recipients { to, cc })
}

/// The mail with the recipients at the end of its header, as git format-patch writes them.
fn addressed(mail: &str, recipients: &Recipients) -> Result<String> {
    let (header, body) = mail.split_once("\n\n").context("a mail has no body")?;
    let field = |name: &str, addresses: &Addresses| -> Result<String> {
        let list: Vec<_> = addresses.iter().map(|address| encoded(address)).collect::<Result<_>>()?;
        Ok(if list.is_empty() { String::new() } else { format!("\n{name}: {}", list.join(",\n ")) })
    };
    let (to, cc) = (field("To", &recipients.to)?, field("Cc", &recipients.cc)?);
    Ok(format!("{header}{to}{cc}\n\n{body}"))
}

/// The recipient as a header has it: of a name, ASCII alone.
fn encoded(address: &str) -> Result<String> {
    if address.is_ascii() {
        return Ok(address.to_owned());
    }
    let parts = address.rsplit_once(" <").filter(|(_, mail)| mail.is_ascii());
    let (name, mail) = parts.with_context(|| format!("{address} is no address for a mail"))?;
    let mut text = String::new();
    rfc2047::encode(name.trim_matches('"'), &mut EmailWriter::new(&mut text, 0, 0, false))?;
    Ok(format!("{} <{mail}", text.replace('\r', "")))
}

/// Replaces the folder as a whole: no mail of an earlier series stays in it.
fn save(project: &Project, mails: &[Mail]) -> Result<()> {
    let dest: PathBuf = project.root.join(DEST);
    let parent = dest.parent().context("no folder")?;
    fs::create_dir_all(parent).with_context(|| format!("cannot make {}", parent.display()))?;
    let part = tempfile::Builder::new().prefix(".part-").tempdir_in(parent)?;
    for mail in mails {
        fs::write(part.path().join(&mail.name), &mail.text)?;
    }
    fs::write(part.path().join(MAILBOX), mails.iter().map(|mail| mail.text.as_str()).collect::<String>())?;
    if dest.exists() {
        fs::remove_dir_all(&dest).with_context(|| format!("cannot remove {DEST}"))?;
    }
    fs::rename(part.path(), &dest).with_context(|| format!("cannot move {DEST} into place"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::series::fixture::{fresh, tree};
    use crate::system::{files, project::for_test};

    /// Stands in for the tree's: a maintainer for all, a reviewer of what is in Rust.
    const GET_MAINTAINER: &str = r#"#!/bin/sh
for last; do :; done
case "$*" in
*--nom*) grep -q 'pending.rs' "$last" && echo '"Rita Ö." <rita@example.org>'; echo list@example.org ;;
*) echo 'Max <max@example.org>' ;;
esac
"#;

    fn series_in(root: &Path) -> Git {
        let git = tree(root);
        let script = git.dir.join("scripts/get_maintainer.pl");
        fs::create_dir_all(script.parent().unwrap()).unwrap();
        files::write_script(&script, GET_MAINTAINER).unwrap();
        git
    }

    fn me() -> [String; 2] {
        ["Eva Ångström".to_owned(), "eva@example.org".to_owned()]
    }

    #[test]
    fn the_mails_apply_and_are_signed_off_on_demand() {
        let root = tempfile::tempdir().unwrap();
        let mut project = for_test(root.path());
        let git = series_in(root.path());
        for signoff in [false, true] {
            project.opts.signoff = signoff;
            save(&project, &write(&git, &me(), &project.opts).unwrap()).unwrap();
            let git_of_mailbox = fresh(root.path());
            let mailbox = root.path().join(DEST).join(MAILBOX);
            git_of_mailbox.capture(["am", "--quiet", "--empty=drop", &mailbox.to_string_lossy()]).unwrap();
            let from_mailbox = git_of_mailbox.capture(["rev-parse", "HEAD^{tree}"]).unwrap();
            let fresh = fresh(root.path());
            for patch in patches::patch_files(&root.path().join(DEST)).unwrap() {
                fresh.capture(["am", "--quiet", &patch.to_string_lossy()]).unwrap();
            }
            assert_eq!(fresh.capture(["rev-parse", "HEAD^{tree}"]).unwrap(), from_mailbox);
            let log = "log --format=%an%n%s%n%T base..HEAD".split(' ');
            assert_eq!(fresh.capture(log.clone()).unwrap(), git.capture(log).unwrap());
            let messages = fresh.capture(["log", "--format=%b", "refs/tags/base..HEAD"]).unwrap();
            let signed = messages.matches("Signed-off-by: Eva Ångström <eva@example.org>").count();
            assert_eq!(signed, if signoff { 2 } else { 0 });
        }
    }

    #[test]
    fn a_name_is_ascii_in_a_header() {
        assert_eq!(encoded("\"Max M.\" <m@example.org>").unwrap(), "\"Max M.\" <m@example.org>");
        let long = encoded(&format!("{} <o@example.org>", "Ö".repeat(40))).unwrap();
        assert!(long.is_ascii() && long.ends_with("?= <o@example.org>"), "{long}");
        assert!(long.split_whitespace().all(|word| word.len() <= 75) && !long.contains('\r'), "{long}");
        assert!(encoded("ö@example.org").is_err());
    }

    #[test]
    fn each_mail_goes_to_whom_it_concerns_and_the_cover_letter_to_all() {
        let root = tempfile::tempdir().unwrap();
        let mails = write(&series_in(root.path()), &me(), &for_test(root.path()).opts).unwrap();
        let answer = format!("\nIn-Reply-To: <{}>\n", id(&mails).unwrap());
        let answers: Vec<bool> = mails.iter().map(|mail| mail.text.contains(&answer)).collect();
        assert_eq!(answers, [false, true, true], "all answer to the cover letter");
        let max = "\nTo: Max <max@example.org>\n";
        let all = "Cc: =?utf-8?b?Uml0YSDDli4=?= <rita@example.org>,\n list@example.org\n\n";
        let list = "Cc: list@example.org\n\n";
        assert_eq!(mails.len(), 3);
        for (mail, cc) in mails.iter().zip([all, all, list]) {
            assert!(mail.text.contains(&format!("{max}{cc}")), "{}", mail.text);
            assert!(mail.text.contains("<eva@example.org>"), "{}", mail.text);
        }
    }
}
