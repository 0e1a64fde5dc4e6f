//! Help and mistakes on the command line.

use clap::Command;
use insta::assert_snapshot;

use super::world::World;
use crate::args::command;

#[tokio::test]
async fn the_root_help_groups_commands() {
    let world = World::new();
    assert_snapshot!(world.ok("--help").await, @r"
    Serverless functions: upload a function, bind it to a route, call it

    Usage: fission [OPTIONS] <COMMAND>

    This machine:
      up                       Run the platform on this machine
      down                     End the platform on this machine
      status                   Show the platform on this machine

    Basic:
      environment, env         Language runtimes functions are loaded into
      package, pkg             Source or deployable code
      function, fn             Code, the environment it runs in, and how instances are made
      archive, ar              Archives in the storage service

    Triggers:
      httptrigger, ht, route   Routes: which requests reach which function
      mqtrigger, mqt           Functions called for each message of a topic
      timetrigger, tt, timer   Functions called on a schedule
      watch, w                 Functions called when Kubernetes objects change

    Declarative:
      spec, specs              Objects kept as files and applied together
      export                   Write every object of a namespace as files that another platform applies

    Auth:
      token                    Tokens of a router that asks for a login

    Other:
      check                    Check that the platform answers, and say which one it is
      version                  Show the version of this binary and of the server
      support                  Everything needed to understand a problem
      completion               Print a script that completes commands

      -n, --namespace <NAMESPACE>   Namespace of the request
          --server <URL>            Address of the API server, such as http://127.0.0.1:31313
          --kubeconfig <FILE>       Kubeconfig file
          --kube-context <CONTEXT>  Context of the kubeconfig
      -v, --verbosity <LEVEL>       0 quiet, 1 normal, 2 verbose [default: 1]
      -h, --help                    Print help
      -V, --version                 Print version


    START HERE:
      fission up
      fission env create --name nodejs --image fission/node-env
      fission function create --name hello --env nodejs --code hello.js
      fission route create --method GET --url /hello --function hello
    ");
}

#[tokio::test]
async fn the_binarys_own_version_is_a_flag_too() {
    let world = World::new();
    assert_eq!(world.ok("--version").await, format!("fission {}\n", crate::build().version));
}

#[tokio::test]
async fn a_verbs_help_shows_examples() {
    let world = World::new();
    assert_snapshot!(world.ok("env get --help").await, @r"
    Show an environment

    Usage: fission environment get [OPTIONS] --name <NAME>

    Options:
          --name <NAME>      Name of the object
      -o, --output <FORMAT>  Output format: wide, json, yaml or name; a table when not given
      -h, --help             Print help

    Global options:
      -n, --namespace <NAMESPACE>   Namespace of the request
          --server <URL>            Address of the API server, such as http://127.0.0.1:31313
          --kubeconfig <FILE>       Kubeconfig file
          --kube-context <CONTEXT>  Context of the kubeconfig
      -v, --verbosity <LEVEL>       0 quiet, 1 normal, 2 verbose [default: 1]

    EXAMPLES:
      fission environment get --name nodejs
      fission env get --name nodejs -o yaml
    ");
}

#[test]
fn every_verb_has_examples_that_parse() {
    fn leaves<'a>(command: &'a Command, path: &str, all: &mut Vec<(String, &'a Command)>) {
        for sub in command.get_subcommands() {
            let path = format!("{path} {}", sub.get_name());
            match sub.has_subcommands() {
                true => leaves(sub, &path, all),
                false => all.push((path, sub)),
            }
        }
    }
    let command = command();
    let mut all = Vec::new();
    leaves(&command, "fission", &mut all);
    assert!(all.len() > 45, "the tree was walked");
    for (path, verb) in all.iter().filter(|(path, _)| !path.ends_with(" wait")) {
        let help = verb.get_after_help().map(ToString::to_string).unwrap_or_default();
        assert!(help.starts_with("EXAMPLES:\n"), "{path} has no examples");
        assert!(verb.get_about().is_some(), "{path} says nothing");
        for line in help.lines().skip(1).filter(|line| line.trim().starts_with("fission ")) {
            let line = line.split(" #").next().unwrap_or_default().split(" > ").next().unwrap_or_default();
            let line = line.split(" | ").next().unwrap_or_default();
            let words = shell_words(line);
            if let Err(not_run) = crate::parse(words) {
                panic!("{path}: {line}: {}", not_run.text);
            }
        }
    }
}

#[tokio::test]
async fn near_misses_are_suggested() {
    let world = World::new();
    assert_snapshot!(world.fails("fucntion list").await, @r"
    Error: unrecognized subcommand 'fucntion'

      tip: some similar subcommands exist: 'completion', 'fn', 'function'

    Usage: fission [OPTIONS] <COMMAND>

    For more information, try '--help'.
    ");
    assert_snapshot!(world.fails("function lst").await, @r"
    Error: unrecognized subcommand 'lst'

      tip: some similar subcommands exist: 'test', 'list-pods', 'list'

    Usage: fission function [OPTIONS] <COMMAND>

    For more information, try '--help'.
    ");
    assert_snapshot!(world.fails("env list --outptu json").await, @r"
    Error: unexpected argument '--outptu' found

      tip: a similar argument exists: '--output'

    Usage: fission environment list --output <FORMAT>

    For more information, try '--help'.
    ");
}

#[tokio::test]
async fn switches_take_values_and_verbosity_takes_numbers() {
    let world = World::new();
    let kept = |yaml: String| yaml.lines().find(|line| line.contains("keeparchive")).unwrap().trim().to_owned();
    let line = "env create --name a --image i --dry --keeparchive";
    assert_eq!(kept(world.ok(line).await), "keeparchive: true");
    assert_eq!(kept(world.ok(&format!("{line}=false")).await), "keeparchive: false");
    assert_eq!(kept(world.ok(&format!("{line}=true -v 2")).await), "keeparchive: true");
    assert_eq!(kept(world.ok(&format!("-v {line}")).await), "keeparchive: true");
    world.fails(&format!("{line} false")).await;
}

#[test]
fn the_platforms_flags_have_the_documented_defaults() {
    let crate::Parsed::Up(up) = crate::parse(["fission", "up"]).unwrap() else { panic!("not up") };
    assert_eq!(
        (up.listen_api.to_string(), up.listen_router.to_string()),
        ("127.0.0.1:31313".into(), "127.0.0.1:31314".into())
    );
    assert!(up.data.is_none() && !up.ephemeral && up.prepare.is_empty());
    let words = "fission up --data /d --listen-api 127.0.0.1:0 --prepare nodejs,python -v";
    let crate::Parsed::Up(up) = crate::parse(words.split(' ')).unwrap() else { panic!("not up") };
    assert_eq!((up.listen_api.port(), up.prepare.len()), (0, 2));
    assert!(crate::parse(["fission", "up", "--ephemeral", "--data", "/d"]).is_err());
}

fn shell_words(line: &str) -> Vec<String> {
    let mut words = vec![];
    let (mut word, mut quoted, mut started) = (String::new(), false, false);
    for c in line.trim().chars() {
        match c {
            '\'' => (quoted, started) = (!quoted, true),
            ' ' if !quoted => {
                if std::mem::take(&mut started) {
                    words.push(std::mem::take(&mut word));
                }
            }
            c => {
                word.push(c);
                started = true;
            }
        }
    }
    words.extend(started.then_some(word));
    words
}
