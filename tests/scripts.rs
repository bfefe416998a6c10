//! Decisions of the core as scripts that can be read.
//!
//! A script is a text file in a folder of `tests/scripts`: blocks of commands, each followed by a line `---` and by
//! what the commands answer, up to an empty line. Lines that start with `#` tell the story. Each folder has an
//! [`Interpreter`] that knows its commands; each script starts with a new one. `UPDATE=1 cargo test --test scripts`
//! writes the answers anew; read the difference before you commit it.

#[path = "scripts/placement.rs"]
mod placement;
#[path = "scripts/quorum.rs"]
mod quorum;
#[path = "scripts/version.rs"]
mod version;

use std::fmt::Write;
use std::path::{Path, PathBuf};

/// What runs the commands of one folder's scripts.
trait Interpreter {
    /// Runs one command. The answer's lines are what the script expects; none is fine. An error is printed as an
    /// answer, so that scripts can show refusals.
    fn run(&mut self, command: &Command) -> Result<String, String>;
}

/// A line of a script: `name argument key=value …`.
struct Command<'a> {
    /// The first word.
    name: &'a str,
    /// The words without `=`.
    arguments: Vec<&'a str>,
    /// The words with it.
    options: Vec<(&'a str, &'a str)>,
}

impl<'a> Command<'a> {
    fn parse(line: &'a str) -> Command<'a> {
        let mut words = line.split_whitespace();
        let name = words.next().unwrap_or_default();
        let (options, arguments): (Vec<&str>, Vec<&str>) = words.partition(|word| word.contains('='));
        Command { name, arguments, options: options.iter().filter_map(|word| word.split_once('=')).collect() }
    }

    /// The nth argument, parsed.
    fn argument<T: std::str::FromStr>(&self, nth: usize) -> Result<T, String> {
        let text = self.arguments.get(nth).ok_or_else(|| format!("{}: argument {} is missing", self.name, nth + 1))?;
        text.parse().map_err(|_| format!("{}: bad argument '{text}'", self.name))
    }

    /// An option, parsed; `default` if it is not given.
    fn option<T: std::str::FromStr>(&self, key: &str, default: T) -> Result<T, String> {
        match self.options.iter().find(|(k, _)| *k == key) {
            Some((_, text)) => text.parse().map_err(|_| format!("{}: bad {key} '{text}'", self.name)),
            None => Ok(default),
        }
    }

    /// The error for a command that nobody knows.
    fn unknown(&self) -> String {
        format!("unknown command '{}'", self.name)
    }
}

/// Runs every script of a folder, each with an interpreter of its own; panics with all differences, or rewrites them.
fn run_folder<I: Interpreter>(folder: &str, new_interpreter: impl Fn() -> I) {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/scripts").join(folder);
    let mut scripts: Vec<PathBuf> = std::fs::read_dir(&folder)
        .unwrap_or_else(|e| panic!("{}: {e}", folder.display()))
        .map(|entry| entry.expect("a readable folder").path())
        .filter(|path| path.extension().is_none_or(|extension| extension != "rs"))
        .collect();
    scripts.sort();
    assert!(!scripts.is_empty(), "{}: no scripts", folder.display());

    let mut differences = String::new();
    for path in scripts {
        let script = std::fs::read_to_string(&path).unwrap_or_else(|e| panic!("{}: {e}", path.display()));
        let answered = answer(&script, &mut new_interpreter());
        if answered == script {
            continue;
        }
        if std::env::var_os("UPDATE").is_some() {
            std::fs::write(&path, answered).unwrap_or_else(|e| panic!("{}: {e}", path.display()));
        } else {
            describe_difference(&path, &script, &answered, &mut differences);
        }
    }
    assert!(differences.is_empty(), "{differences}\n`UPDATE=1 cargo test --test scripts` accepts these answers");
}

/// The script with every block's answers as the interpreter gives them now.
fn answer(script: &str, interpreter: &mut impl Interpreter) -> String {
    let mut answered = String::new();
    let mut answers = String::new();
    let mut in_answers = false;
    for line in script.lines() {
        match (in_answers, line.trim()) {
            (true, "") => in_answers = false,
            (true, _) => continue,
            (false, "---") => {
                in_answers = true;
                answered.push_str("---\n");
                answered.push_str(if answers.is_empty() { "ok\n" } else { &answers });
                answers.clear();
                continue;
            }
            (false, text) if text.is_empty() || text.starts_with('#') => {}
            (false, text) => match interpreter.run(&Command::parse(text)) {
                Ok(answer) => answer.lines().for_each(|line| answers.extend([line.trim_end(), "\n"])),
                Err(error) => answers.extend(["error: ", &error, "\n"]),
            },
        }
        answered.extend([line, "\n"]);
    }
    assert!(answers.is_empty(), "the last commands of a script are not followed by '---':\n{script}");
    answered
}

fn describe_difference(path: &Path, expected: &str, answered: &str, to: &mut String) {
    let (expected, answered): (Vec<&str>, Vec<&str>) = (expected.lines().collect(), answered.lines().collect());
    let first = expected.iter().zip(&answered).take_while(|(e, a)| e == a).count();
    let line = |of: &[&str]| of.get(first).map_or("(end of file)".to_string(), |line| format!("'{line}'"));
    let _ = writeln!(to, "{}:{}: expected {}, got {}", path.display(), first + 1, line(&expected), line(&answered));
}

#[test]
fn placement() {
    run_folder("placement", placement::Placement::default);
}

#[test]
fn version() {
    run_folder("version", version::Version::default);
}

#[test]
fn quorum() {
    run_folder("quorum", quorum::Quorum::default);
}

/// The runner itself: answers replace what stood there, and a difference is told with its line.
#[test]
fn answers_are_compared() {
    struct Echo;
    impl Interpreter for Echo {
        fn run(&mut self, command: &Command) -> Result<String, String> {
            match command.name {
                "say" => Ok(command.arguments.join(" ")),
                "quiet" => Ok(String::new()),
                _ => Err(command.unknown()),
            }
        }
    }
    let script = "# story\nsay a b\nshout\n---\nold\nolder\n\nquiet\n---\n";
    let answered = "# story\nsay a b\nshout\n---\na b\nerror: unknown command 'shout'\n\nquiet\n---\nok\n";
    assert_eq!(answer(script, &mut Echo), answered);
    assert_eq!(answer(answered, &mut Echo), answered);
    let mut differences = String::new();
    describe_difference(Path::new("x"), script, answered, &mut differences);
    assert_eq!(differences, "x:5: expected 'old', got 'a b'\n");
}
