//! Why clients of the service are refused.

/// Why a client of the service gets no answer to what it asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Refusal {
    /// Nobody has the token, or the password.
    Login,
    /// It is not known who asks, or they may not read.
    Unknown,
    /// The client asks too often.
    Rate,
    /// There are too many connections.
    Connection,
}

impl Refusal {
    /// All of them.
    pub(super) const ALL: [Self; 4] = [Self::Login, Self::Unknown, Self::Rate, Self::Connection];

    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Login => "login",
            Self::Unknown => "unknown",
            Self::Rate => "rate",
            Self::Connection => "connection",
        }
    }
}
