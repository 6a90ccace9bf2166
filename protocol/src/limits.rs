//! Every maximum of the wire, with its unit in the name. Relations between
//! limits are asserted at compile time.

/// Largest frame a server takes unless configured lower, and the most it
/// can be configured to take.
pub const FRAME_BYTES_MAX: usize = 1024 * 1024;
/// Largest frame before the session is open.
pub const FRAME_BYTES_MAX_UNAUTHENTICATED: usize = 128 * 1024;
/// What a client must at least take: the largest frame that a server sends, a
/// sync page with its profiles.
pub const FRAME_BYTES_MIN_CLIENT: usize = 512 * 1024;
/// Bytes of the length prefix: a varint below 2^28.
pub const LENGTH_PREFIX_BYTES_MAX: usize = 4;
/// Text of a message.
pub const TEXT_BYTES_MAX: usize = 16 * 1024;
/// Data of an opaque body.
pub const OPAQUE_BYTES_MAX: usize = 64 * 1024;
/// Media type of an opaque body.
pub const CONTENT_TYPE_BYTES_MAX: usize = 128;
/// Summary of an opaque body.
pub const SUMMARY_BYTES_MAX: usize = 256;
/// Whole encoded body, with room for fields to come.
pub const BODY_BYTES_MAX: usize = 68 * 1024;
/// Exactly this long.
pub const CLIENT_ID_BYTES: usize = 16;
/// Account name.
pub const NAME_BYTES_MIN: usize = 3;
/// Account name.
pub const NAME_BYTES_MAX: usize = 32;
/// Name shown to people; also device and group names.
pub const DISPLAY_NAME_BYTES_MAX: usize = 64;
/// Device id.
pub const DEVICE_ID_BYTES_MAX: usize = 64;
/// Name and version of the client software.
pub const CLIENT_BYTES_MAX: usize = 64;
/// Password.
pub const PASSWORD_BYTES_MIN: usize = 8;
/// Password.
pub const PASSWORD_BYTES_MAX: usize = 256;
/// Access or refresh token, or a token of an external issuer.
pub const TOKEN_BYTES_MAX: usize = 8 * 1024;
/// Devices of one user; the one unseen for longest makes room.
pub const DEVICES_MAX: usize = 32;
/// People in one group.
pub const GROUP_MEMBERS_MAX: usize = 10_000;
/// People named in one CreateGroup or InviteMembers.
pub const INVITE_USERS_MAX: usize = 1_000;
/// Conversations in one user's list.
pub const CONVERSATIONS_MAX: usize = 10_000;
/// Cursors in one SyncRequest.
pub const HELD_CURSORS_MAX: usize = 2_000;
/// Messages in one History page.
pub const HISTORY_LIMIT_MAX: u32 = 500;
/// Messages in one History page when none is asked for.
pub const HISTORY_LIMIT_DEFAULT: u32 = 100;
/// Bytes of messages in one History or sync page.
pub const PAGE_BYTES_MAX: usize = 256 * 1024;
/// Members in one page of ListMembers.
pub const MEMBERS_LIMIT_MAX: u32 = 500;
/// Members in one page of ListMembers when none is asked for.
pub const MEMBERS_LIMIT_DEFAULT: u32 = 100;
/// People in one GetProfiles.
pub const PROFILES_MAX: usize = 200;
/// People watched by one connection.
pub const WATCHED_MAX: usize = 500;
/// Sends of one user in one conversation that are remembered for telling a
/// retry from a new message. A client keeps fewer than this many sends
/// without a result per conversation, over all its devices.
pub const DEDUPE_SENDS: usize = 128;
/// Sends without a result that one device keeps per conversation.
pub const OUTBOX_WINDOW: usize = 64;
/// A group larger than this tells cursor moves only to the mover's devices.
pub const CURSOR_PUSH_MEMBERS_MAX: usize = 100;

const _: () = assert!(FRAME_BYTES_MAX < 1 << (7 * LENGTH_PREFIX_BYTES_MAX));
const _: () =
    assert!(OPAQUE_BYTES_MAX + CONTENT_TYPE_BYTES_MAX + SUMMARY_BYTES_MAX < BODY_BYTES_MAX);
const _: () = assert!(TEXT_BYTES_MAX < BODY_BYTES_MAX);
const _: () = assert!(BODY_BYTES_MAX < FRAME_BYTES_MAX_UNAUTHENTICATED);
const _: () = assert!(FRAME_BYTES_MAX_UNAUTHENTICATED < FRAME_BYTES_MAX);
const _: () = assert!(PAGE_BYTES_MAX + BODY_BYTES_MAX + 128 * 1024 < FRAME_BYTES_MIN_CLIENT);
const _: () = assert!(FRAME_BYTES_MIN_CLIENT < FRAME_BYTES_MAX);
const _: () = assert!(OUTBOX_WINDOW < DEDUPE_SENDS);
