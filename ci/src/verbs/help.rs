// SPDX-License-Identifier: GPL-2.0
//! `help`: verbs and variables as a user of make writes them.

use anyhow::Result;
use clap::{Arg, Command};

pub fn run(command: &Command) -> Result<()> {
    print!("{}", text(command));
    Ok(())
}

pub fn text(command: &Command) -> String {
    let verbs = command.get_subcommands().map(|verb| (verb.get_name().to_owned(), about(verb)));
    let variables = command.get_arguments().filter_map(variable);
    format!(
        "{}\n\n    make <verb> [VARIABLE=value ...]\n\nVerbs:\n{}\nVariables:\n{}",
        about(command),
        lines(verbs),
        lines(variables)
    )
}

fn about(command: &Command) -> String {
    command.get_about().map(ToString::to_string).unwrap_or_default()
}

/// `ROUNDS=<n>`, and what it says.
fn variable(argument: &Arg) -> Option<(String, String)> {
    let name = argument.get_env()?.to_string_lossy();
    let value = match argument.get_action().takes_values() {
        true => format!("<{}>", argument.get_value_names()?.first()?),
        false => "1".to_owned(),
    };
    let mut text = argument.get_help()?.to_string();
    if let ([default], true) = (argument.get_default_values(), argument.get_action().takes_values()) {
        text += &format!(" (default: {})", default.to_string_lossy());
    }
    let values = argument.get_possible_values();
    let values: Vec<&str> = values.iter().filter(|v| !v.is_hide_set()).map(|v| v.get_name()).collect();
    if !values.is_empty() && argument.get_action().takes_values() {
        text += &format!(": {}", values.join(", "));
    }
    Some((format!("{name}={value}"), text))
}

fn lines(rows: impl Iterator<Item = (String, String)>) -> String {
    rows.map(|(name, text)| format!("  {name:<15} {text}\n")).collect()
}
