//! How things are said to people: errors, changes of groups, times.
//!
//! Branches on codes and types, never on the text of an error.

use hongyan_client::pb::group_event::Kind;
use hongyan_client::pb::{self, Role};
use hongyan_client::{ClientError, ErrorCode, SignOutReason, UserId};
use jiff::Timestamp;
use jiff::civil::Date;
use jiff::tz::TimeZone;

use crate::text;

/// An error, for the person in front of the screen.
pub fn explain(error: &ClientError) -> String {
    let Some(code) = error.code() else {
        return match error {
            ClientError::Connect(reason) => {
                format!("cannot reach the server: {}", text::clean_line(reason))
            }
            ClientError::Certificate(reason) => format!(
                "the server's certificate is not trusted: {}; --ca FILE names an issuer to trust",
                text::clean_line(reason)
            ),
            ClientError::NeedsTls => "the server wants TLS on this port: try --tls".into(),
            ClientError::SpeaksNoTls => {
                "no TLS on this port: try another port, or --plaintext".into()
            }
            ClientError::NotHongyan => "what answers there is not a Hongyan server".into(),
            ClientError::Offline => "not connected; nothing was sent".into(),
            ClientError::TimedOut => "the connection broke, or no answer came".into(),
            ClientError::WindowFull => "no more messages fit in memory".into(),
            other => text::clean_line(&other.to_string()),
        };
    };
    match explain_code(code) {
        Some(explained) => explained.into(),
        None => text::clean_line(code.meaning().trim()),
    }
}

fn explain_code(code: ErrorCode) -> Option<&'static str> {
    Some(match code {
        ErrorCode::AccountBanned => "this account is banned",
        ErrorCode::AccountDeactivated => "this account is closed",
        ErrorCode::BadCredentials => "the name or the password is wrong",
        ErrorCode::Busy => "the server is busy; try again",
        ErrorCode::DeviceRevoked => "this device was signed out; log in again",
        ErrorCode::GroupDissolved => "the group was dissolved",
        ErrorCode::InvalidField => "a name or a value is not valid",
        ErrorCode::NameTaken => "this name is taken; choose another, or log in",
        ErrorCode::NotAllowed => "your role does not allow this",
        ErrorCode::NotMember => "not a member of this group",
        ErrorCode::NoSuchDevice => "there is no such device",
        ErrorCode::NoSuchUser => "there is nobody of this name",
        ErrorCode::OwnerCannotLeave => {
            "the owner cannot leave: give the group to another with /role, or /dissolve it"
        }
        ErrorCode::RateLimited => "too fast; wait a moment",
        ErrorCode::RegistrationClosed => "this server takes no new accounts",
        ErrorCode::Replaced => "another device of this account took over",
        ErrorCode::StoreUnavailable => "the server cannot write now; try again",
        ErrorCode::GoingAway => "the server is restarting",
        _ => return None,
    })
}

/// Why a session ended for good.
pub fn signed_out(reason: SignOutReason) -> String {
    match reason {
        SignOutReason::Logout => "signed out".into(),
        SignOutReason::Goodbye(code) | SignOutReason::Refused(code) => {
            match ErrorCode::from_number(code) {
                // The server does not say by whom.
                Some(ErrorCode::SignedOut) => {
                    "this device was signed out: from another one, or by the server's operator"
                        .into()
                }
                Some(code) => match explain_code(code) {
                    Some(explained) => format!("signed out: {explained}"),
                    None => format!("signed out: {}", code.meaning().trim()),
                },
                None => format!("signed out (code {code})"),
            }
        }
        _ => "signed out".into(),
    }
}

/// A change of a group. `name` says what to call a user.
pub fn group_event(event: &pb::GroupEvent, name: impl Fn(UserId) -> String) -> String {
    let called = |id: u64| UserId::new(id).map_or_else(|| "somebody".into(), &name);
    let actor = called(event.actor);
    let mut users: Vec<_> = event.users.iter().map(|id| called(*id)).collect();
    let unnamed = (event.user_count as usize).saturating_sub(users.len());
    if unnamed > 0 {
        users.push(format!("{unnamed} more"));
    }
    let users = users.join(", ");
    let label = text::clean_line(&event.name);
    match Kind::try_from(event.kind) {
        Ok(Kind::Created) if users.is_empty() => format!("{actor} made the group {label}"),
        Ok(Kind::Created) => format!("{actor} made the group {label} with {users}"),
        Ok(Kind::Invited) => format!("{actor} added {users}"),
        Ok(Kind::Left) => format!("{actor} left"),
        Ok(Kind::Removed) => format!("{actor} removed {users}"),
        Ok(Kind::RoleChanged) => format!("{actor} made {users} {}", role(event.role)),
        Ok(Kind::Updated) if label.is_empty() => format!("{actor} changed the group"),
        Ok(Kind::Updated) => format!("{actor} changed the group; it is called {label}"),
        Ok(Kind::Dissolved) => format!("{actor} dissolved the group"),
        Ok(Kind::Unspecified) | Err(_) => format!("{actor} changed the group"),
    }
}

/// A role's word, by its number on the wire.
pub fn role(number: u32) -> &'static str {
    let role = i32::try_from(number).ok().and_then(|n| Role::try_from(n).ok());
    match role {
        Some(Role::Owner) => "owner",
        Some(Role::Admin) => "admin",
        Some(Role::Member) => "member",
        Some(Role::Unspecified) | None => "of an unknown role",
    }
}

/// Hours and minutes.
pub fn clock(at_ms: u64, zone: &TimeZone) -> String {
    format(at_ms, zone, "%H:%M")
}

/// Hours, minutes and seconds.
pub fn clock_seconds(at_ms: u64, zone: &TimeZone) -> String {
    format(at_ms, zone, "%H:%M:%S")
}

/// A day, as separators name it.
pub fn day(at_ms: u64, zone: &TimeZone) -> String {
    format(at_ms, zone, "%A, %-d %B %Y")
}

/// A moment in the past, as short as can be: a time today, a weekday in the
/// last six days, otherwise a date.
pub fn when(at_ms: u64, now_ms: u64, zone: &TimeZone) -> String {
    let (Some(then), Some(today)) = (date(at_ms, zone), date(now_ms, zone)) else {
        return String::new();
    };
    let days = today.duration_since(then).as_hours() / 24;
    if then == today {
        clock(at_ms, zone)
    } else if (1..7).contains(&days) {
        format(at_ms, zone, "%a")
    } else {
        format(at_ms, zone, "%-d.%-m.%y")
    }
}

/// The day on which a moment falls.
pub fn date(at_ms: u64, zone: &TimeZone) -> Option<Date> {
    let at = Timestamp::from_millisecond(i64::try_from(at_ms).ok()?).ok()?;
    Some(at.to_zoned(zone.clone()).date())
}

fn format(at_ms: u64, zone: &TimeZone, pattern: &str) -> String {
    let at = i64::try_from(at_ms).ok();
    let at = at.and_then(|at_ms| Timestamp::from_millisecond(at_ms).ok());
    at.map_or_else(String::new, |at| at.to_zoned(zone.clone()).strftime(pattern).to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW_MS: u64 = 1_795_341_600_000; // Sunday, 22 November 2026, 10:00 UTC
    const DAY_MS: u64 = 86_400_000;

    fn refused(code: ErrorCode) -> ClientError {
        ClientError::Refused {
            code: code.number(),
            message: "for people who debug".into(),
            retry_after_ms: 0,
        }
    }

    #[test]
    fn refusals_are_explained_in_words() {
        assert!(explain(&refused(ErrorCode::NameTaken)).contains("taken"));
        assert!(explain(&refused(ErrorCode::BadCredentials)).contains("password"));
        for code in ErrorCode::ALL {
            let explained = explain(&refused(*code));
            assert!(!explained.is_empty() && !explained.contains("debug"), "{code:?}");
        }
    }

    #[test]
    fn group_changes_read_as_sentences() {
        let event = pb::GroupEvent {
            kind: Kind::Invited.into(),
            actor: 1,
            users: vec![2],
            user_count: 3,
            ..Default::default()
        };
        let said = group_event(&event, |user| format!("u{}", user.get()));
        assert_eq!(said, "u1 added u2, 2 more");
    }

    #[test]
    fn times_are_as_short_as_their_age_allows() {
        let zone = TimeZone::UTC;
        assert_eq!(when(NOW_MS, NOW_MS, &zone), "10:00");
        assert_eq!(when(NOW_MS - DAY_MS, NOW_MS, &zone), "Sat");
        assert_eq!(when(NOW_MS - 6 * DAY_MS, NOW_MS, &zone), "Mon");
        assert_eq!(when(NOW_MS - 7 * DAY_MS, NOW_MS, &zone), "15.11.26");
        assert_eq!(day(NOW_MS, &zone), "Sunday, 22 November 2026");
        assert_eq!(when(u64::MAX, NOW_MS, &zone), "");
    }
}
