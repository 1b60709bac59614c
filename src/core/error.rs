//! One error type for everything that may fail outside the core.
//!
//! An error says *what* went wrong (the message), *whose* it is to mend ([`Fault`]) and *how* (the hint). The core
//! itself does not fail: too little data, a bad event or a missing column are values there.

use std::fmt;

/// Whose fault an error is, and so who should act on it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fault {
    /// The user's input: arguments, a pipeline file, a data file. Trying again does not help.
    User,
    /// The world: a broker, a disk, a network. Trying again may help.
    External,
    /// haldane itself: a broken invariant.
    Internal,
    /// The candidate: haldane works, and its answer is no.
    Candidate,
}

/// The result of everything that may fail.
pub type Result<T> = std::result::Result<T, Error>;

/// What went wrong, whose fault it is, and what to do about it.
#[derive(Debug)]
pub struct Error {
    fault: Fault,
    message: String,
    hint: Option<String>,
    exit_code: Option<u8>,
    source: Option<Box<dyn std::error::Error + Send + Sync>>,
}

impl Error {
    /// An error in what the user gave.
    pub fn user(message: impl Into<String>) -> Self {
        Self::new(Fault::User, message)
    }

    /// A failure of something outside.
    pub fn external(message: impl Into<String>) -> Self {
        Self::new(Fault::External, message)
    }

    /// A broken invariant of haldane's own.
    pub fn internal(message: impl Into<String>) -> Self {
        Self::new(Fault::Internal, message)
    }

    /// A candidate that did not pass.
    pub fn candidate(message: impl Into<String>) -> Self {
        Self::new(Fault::Candidate, message)
    }

    fn new(fault: Fault, message: impl Into<String>) -> Self {
        Self { fault, message: message.into(), hint: None, exit_code: None, source: None }
    }

    /// Adds what the reader should do.
    #[must_use]
    pub fn hint(mut self, hint: impl Into<String>) -> Self {
        self.hint = Some(hint.into());
        self
    }

    /// Gives the program an exit code of its own, for scripts that must tell this from everything else.
    #[must_use]
    pub fn exits(mut self, code: u8) -> Self {
        self.exit_code = Some(code);
        self
    }

    /// Says that it is not to be mended in arguments or a pipeline file, but where they lead: so a restart helps then.
    #[must_use]
    pub fn elsewhere(self) -> Self {
        if self.fault == Fault::User { self.exits(3) } else { self }
    }

    /// Adds the underlying error.
    #[must_use]
    pub fn because(mut self, source: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> Self {
        self.source = Some(source.into());
        self
    }

    /// Whose fault it is.
    #[must_use]
    pub fn fault(&self) -> Fault {
        self.fault
    }

    /// What the reader should do, where there is something.
    #[must_use]
    pub fn advice(&self) -> Option<&str> {
        self.hint.as_deref()
    }

    /// The process exit code: 1 for a candidate that did not pass, 2 for the user's mistakes, 3 for the world's, 70 for
    /// ours, unless it has one of its own.
    #[must_use]
    pub fn exit_code(&self) -> u8 {
        let of_fault = match self.fault {
            Fault::Candidate => 1,
            Fault::User => 2,
            Fault::External => 3,
            Fault::Internal => 70,
        };
        self.exit_code.unwrap_or(of_fault)
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)?;
        if let Some(source) = &self.source {
            write!(f, ": {source}")?;
        }
        Ok(())
    }
}

impl std::error::Error for Error {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        self.source.as_ref().map(|source| source.as_ref() as &(dyn std::error::Error + 'static))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn display_carries_the_cause_and_keeps_the_hint_apart() {
        let error = Error::user("cannot read a.yaml").because("no such file").hint("check the path");
        assert_eq!(error.to_string(), "cannot read a.yaml: no such file");
        assert_eq!(error.advice(), Some("check the path"));
        assert_eq!((error.fault(), error.exit_code()), (Fault::User, 2));
        assert_eq!(error.elsewhere().exit_code(), 3);
        assert_eq!(Error::internal("broken").elsewhere().exit_code(), 70);
    }
}
