//! Asking before something is done that moves or gives up data.

use std::io::{self, BufRead, IsTerminal, Write};

use crate::exit::CliError;
use crate::output::Output;

/// Whether the operator means it: by `--yes`, or asked at the terminal after all that was printed so far.
///
/// # Errors
/// [`CliError::Usage`] if there is nobody to ask.
pub fn confirmed(question: &str, yes: bool, output: &mut Output) -> Result<bool, CliError> {
    if yes {
        return Ok(true);
    }
    let stdin = io::stdin();
    if output.is_json() || !stdin.is_terminal() {
        return Err(CliError::Usage(format!("'{question}' has to be answered at a terminal; otherwise add --yes")));
    }
    output.flush()?;
    // If standard error is closed the question is not seen, and the answer is no sooner or later.
    let mut stderr = io::stderr().lock();
    let _ = write!(stderr, "{question} [y/N] ").and_then(|()| stderr.flush());
    let mut answer = String::new();
    stdin.lock().read_line(&mut answer).map_err(unreadable)?;
    Ok(is_yes(&answer))
}

fn unreadable(error: io::Error) -> CliError {
    CliError::File { path: "standard input".into(), reason: error.to_string() }
}

fn is_yes(answer: &str) -> bool {
    matches!(answer.trim().to_ascii_lowercase().as_str(), "y" | "yes")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_yes_is_yes() {
        assert!(["y\n", "Yes\n", " y "].into_iter().all(is_yes));
        assert!(["", "\n", "n\n", "yo\n"].into_iter().all(|answer| !is_yes(answer)));
    }

    #[test]
    fn without_a_terminal_it_has_to_be_said_before() {
        // Where JSON is printed nobody is asked, whatever standard input is.
        let mut output = Output::new(true);
        assert!(confirmed("Commit this?", true, &mut output).unwrap());
        let refused = confirmed("Commit this?", false, &mut output).unwrap_err();
        assert!(refused.to_string().contains("--yes"), "{refused}");
    }
}
