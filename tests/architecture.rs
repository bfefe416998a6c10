//! Who may name whom.
//!
//! ```text
//! bin ─▶ api ─▶ node ─▶ { wire, storage, coordination } ─▶ core          client ─▶ wire ─▶ core
//! ```
//!
//! Each part of the library may name the parts and packages that stand here, and nothing else. `config` stands beside
//! them: what an operator writes, in words of `core` and `wire`, read by `coordination`, `node` and `api`. The rules
//! hold for tests inside `src` as well.

#[path = "architecture/paths.rs"]
mod paths;

use std::path::Path;

use paths::{Named, module_of, named};

/// What one part of the library may name.
struct Rule {
    /// The part: a module at the top.
    part: &'static str,
    /// Parts that it may name, beside itself.
    parts: &'static [&'static str],
    /// What it may not name all the same.
    except: &'static [&'static str],
    /// Packages that it may name, beside the standard library.
    packages: Packages,
    /// Why, for whoever meets the failure.
    reason: &'static str,
}

enum Packages {
    All,
    AllBut(&'static [&'static str]),
    Only(&'static [&'static str]),
}

const ACTORS: &[&str] = &["actix", "actix_rt"];

const RULES: [Rule; 9] = [
    Rule {
        part: "core",
        parts: &["mutant", "mutants"],
        except: &[
            "std::env",
            "std::fs",
            "std::io",
            "std::net",
            "std::os",
            "std::process",
            "std::thread",
            "std::time::Instant",
            "std::time::SystemTime",
        ],
        packages: Packages::Only(&["bytes", "proptest", "rmp_serde", "serde", "thiserror", "xxhash_rust"]),
        reason: "core is pure: no runtime, clock, random source or I/O, and it knows no other part",
    },
    Rule {
        part: "storage",
        parts: &["core", "mutant", "mutants"],
        except: &["crate::core::version"],
        packages: Packages::AllBut(ACTORS),
        reason: "storage sees bytes, not versions, and only node and api know actix",
    },
    Rule {
        part: "wire",
        parts: &["core"],
        except: &[],
        packages: Packages::AllBut(ACTORS),
        reason: "wire is what both sides of a link share, in words of core; only node and api know actix",
    },
    Rule {
        part: "coordination",
        parts: &["config", "coordination_suite", "core", "mutant", "mutants", "wire"],
        except: &[],
        packages: Packages::AllBut(ACTORS),
        reason: "coordination keeps a tree and does not know who reads it; only node and api know actix",
    },
    Rule {
        part: "config",
        parts: &["core", "wire"],
        except: &[],
        packages: Packages::AllBut(ACTORS),
        reason: "config is what an operator writes; it knows nothing of what is started from it",
    },
    Rule {
        part: "client",
        parts: &["core", "mutant", "mutants", "wire"],
        except: &[],
        packages: Packages::Only(&[
            "bytes",
            "log",
            "proptest",
            "rand",
            "rmp_serde",
            "serde",
            "thiserror",
            "tokio",
            "tokio_util",
        ]),
        reason: "applications get plain tokio: neither actix nor storage nor a node",
    },
    Rule {
        part: "node",
        parts: &["config", "coordination", "core", "mutant", "mutants", "storage", "wire"],
        except: &[],
        packages: Packages::All,
        reason: "the node does not know what the outside speaks",
    },
    Rule {
        part: "api",
        parts: &["config", "coordination", "core", "mutant", "mutants", "node", "storage", "wire"],
        except: &[],
        packages: Packages::All,
        reason: "the api speaks to the node; the client library is for the other side",
    },
    Rule {
        part: "testing",
        parts: &["api", "client", "config", "core", "wire"],
        except: &[],
        packages: Packages::AllBut(ACTORS),
        reason: "testing starts nodes and asks them as anybody would; it does not reach inside",
    },
];

/// Parts at the top that are no layer, and may name anything.
const FREE: [&str; 3] = ["lib", "mutants", "bin"];

impl Rule {
    fn of(file: &str) -> Option<&'static Rule> {
        RULES.iter().find(|rule| rule.part == part_of(file))
    }

    /// Whether the rule has nothing against this path. `packages` are those that the crate depends on at all.
    fn allows(&self, path: &str, packages: &[String]) -> bool {
        // Naming what is around the forbidden opens the way to it.
        let around = format!("{}::", path.trim_end_matches("::*"));
        let inside = |except: &str| path == except || path.starts_with(&format!("{except}::"));
        if self.except.iter().any(|except| inside(except) || except.starts_with(&around)) {
            return false;
        }
        let mut parts = path.split("::");
        match (parts.next(), parts.next()) {
            (Some("crate"), Some(part)) => part == self.part || self.parts.contains(&part),
            (Some(package), _) if packages.iter().any(|known| known == package) => match self.packages {
                Packages::All => true,
                Packages::AllBut(but) => !but.contains(&package),
                Packages::Only(only) => only.contains(&package),
            },
            _ => true,
        }
    }

    fn complain(&self, file: &str, named: &Named) -> String {
        format!("{file}:{}: {} may not name {}: {}", named.line, self.part, named.path, self.reason)
    }
}

/// `core` for `src/core/ring/mod.rs`, `core.rs` alike.
fn part_of(file: &str) -> &str {
    file.trim_start_matches("src/").split(['/', '.']).next().unwrap_or_default()
}

/// What is wrong with one file.
fn check(file: &str, source: &str, packages: &[String]) -> Vec<String> {
    let Some(rule) = Rule::of(file) else { return vec![] };
    let named = named(&module_of(file), source);
    named.iter().filter(|n| !rule.allows(&n.path, packages)).map(|n| rule.complain(file, n)).collect()
}

/// All packages of the manifest, as they are named in source.
fn packages() -> Vec<String> {
    let manifest = include_str!("../Cargo.toml");
    let mut packages = vec![];
    let mut in_dependencies = false;
    for line in manifest.lines() {
        match line.split_once('=') {
            _ if line.starts_with('[') => in_dependencies = line.ends_with("dependencies]"),
            Some((name, _)) if in_dependencies && !line.starts_with('#') => {
                packages.push(name.trim().replace('-', "_"))
            }
            _ => {}
        }
    }
    packages
}

fn sources(folder: &Path, found: &mut Vec<String>) {
    let entries = std::fs::read_dir(folder).unwrap_or_else(|e| panic!("{}: {e}", folder.display()));
    for path in entries.map(|entry| entry.expect("a readable folder").path()) {
        if path.is_dir() {
            sources(&path, found);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            found.push(path.display().to_string());
        }
    }
}

#[test]
fn every_part_names_only_what_it_may() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let (mut files, packages) = (vec![], packages());
    sources(&root.join("src"), &mut files);
    files.sort();
    let mut complaints = vec![];
    for path in &files {
        let source = std::fs::read_to_string(path).unwrap_or_else(|e| panic!("{path}: {e}"));
        let file = path.strip_prefix(&format!("{}/", root.display())).expect("below the root");
        if Rule::of(file).is_none() && !FREE.contains(&part_of(file)) {
            complaints.push(format!("{file}: no rule for {}: add one to tests/architecture.rs", part_of(file)));
        }
        complaints.extend(check(file, &source, &packages));
    }
    assert!(files.len() > 50, "only {} files were found", files.len());
    assert!(complaints.is_empty(), "{} broken rules\n{}", complaints.len(), complaints.join("\n"));
}

#[test]
fn broken_rules_are_told_with_file_and_line() {
    let told = |file, source| check(file, source, &packages());
    assert_eq!(
        told("src/core/ring/mod.rs", "//! Story.\n\nuse actix::Actor;\n"),
        [
            "src/core/ring/mod.rs:3: core may not name actix::Actor: core is pure: no runtime, clock, random source or I/O, \
             and it knows no other part"
        ]
    );
    let broken = [
        ("src/core/key.rs", "use std::{fmt, time::{Duration, Instant}};"),
        ("src/core/key.rs", "use std::time; fn now() -> u64 { time::Instant::now().into() }"),
        ("src/core/key.rs", "use std::time::*;"),
        ("src/core/key.rs", "fn now() -> u64 { std::time::SystemTime::now().into() }"),
        ("src/core/ring/mod.rs", "use super::super::node::env;"),
        ("src/core/ring/mod.rs", "mod tests { use super::super::super::wire::frame; }"),
        ("src/core/key.rs", "pub use crate::{core::id, storage as s};"),
        ("src/core/key.rs", "fn f() { let _ = tokio::spawn(async {}); }"),
        ("src/core/key.rs", "use rand;"),
        ("src/storage/mod.rs", "use crate::core::version::Object;"),
        ("src/wire/message.rs", "use crate::storage::Engine;"),
        ("src/client/mod.rs", "use crate::config::Config;"),
        ("src/client/mod.rs", "use actix::prelude::*;"),
        ("src/coordination/mod.rs", "use crate::node::Node;"),
        ("src/coordination/mod.rs", "use actix::Addr;"),
        ("src/config/mod.rs", "use crate::coordination::Membership;"),
        ("src/node/mod.rs", "use crate::api::Server;"),
        ("src/api/mod.rs", "use crate::client::Client;"),
    ];
    for (file, source) in broken {
        assert_eq!(told(file, source).len(), 1, "{file}: {source}");
    }
}

#[test]
fn what_is_allowed_passes() {
    let fine = [
        ("src/core/version/mint.rs", "use super::Actor; use crate::mutant; use std::time::Duration;"),
        (
            "src/core/key.rs",
            "// use tokio::net\n/* actix::Addr */ const A: &str = \"tokio::spawn\"; const B: char = '\"';",
        ),
        ("src/core/key.rs", "mod tests { use super::*; use proptest::prelude::*; }"),
        ("src/core/key.rs", "fn f<'a>(a: &'a str) { let _ = (r#\"crate::node::x\"#, '\\'', rank::of(a)); }"),
        ("src/storage/mod.rs", "use crate::core::key::Key;"),
        ("src/node/mod.rs", "use crate::config::Config; use actix::Addr;"),
        ("src/bin/kv-cli/main.rs", "use kv::client::Client;"),
    ];
    for (file, source) in fine {
        assert_eq!(check(file, source, &packages()), Vec::<String>::new(), "{file}: {source}");
    }
}
