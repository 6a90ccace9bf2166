/** Limits of the protocol; `docs/PROTOCOL.md` has the table. */

export const TEXT_BYTES_MAX = 16_384;
export const OPAQUE_BYTES_MAX = 65_536;
export const CONTENT_TYPE_BYTES_MAX = 128;
export const SUMMARY_BYTES_MAX = 256;
export const CLIENT_ID_BYTES = 16;
export const DISPLAY_NAME_BYTES_MAX = 64;
export const DEVICE_ID_BYTES_MAX = 64;
export const CLIENT_BYTES_MAX = 64;
export const HELD_CURSORS_MAX = 2_000;
export const HISTORY_LIMIT_MAX = 500;
export const MEMBERS_LIMIT_MAX = 500;
export const PROFILES_MAX = 200;
export const WATCHED_MAX = 500;
export const OUTBOX_WINDOW = 64;
export const CURSOR_PUSH_MEMBERS_MAX = 100;
export const FRAME_BYTES_MAX = 1_048_576;
