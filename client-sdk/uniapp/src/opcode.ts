/** What a frame's payload is; `docs/PROTOCOL.md` has the table. */
export const Opcode = {
  /** Nothing; a frame of length zero has this opcode. */
  Heartbeat: 0,
  /** A request was refused. */
  Error: 1,
  /** The connection closes after this frame. */
  Goodbye: 2,
  /** Opens the connection, and the session when it brings a token. */
  Hello: 16,
  /** Makes an account. */
  Register: 17,
  /** Opens a session by password. */
  Login: 18,
  /** Opens a session by refresh token. */
  Refresh: 19,
  /** Opens a session by a token of an external issuer. */
  LoginExternal: 20,
  /** Signs this device out. */
  Logout: 21,
  /** Lists the account's devices. */
  ListDevices: 22,
  /** Signs a device out. */
  RevokeDevice: 23,
  /** Changes the password. */
  ChangePassword: 24,
  /** Closes the account. */
  Deactivate: 25,
  /** Finds a person by name. */
  FindUser: 26,
  /** Names for ids. */
  GetProfiles: 27,
  /** Sends a message. */
  Send: 32,
  /** A message arrived. */
  Message: 33,
  /** Moves the user's own cursors. */
  MoveCursor: 34,
  /** Somebody's cursors moved. */
  CursorMoved: 35,
  /** Reads a range of messages. */
  History: 36,
  /** A conversation appeared, changed or is gone. */
  ConversationChanged: 37,
  /** Makes a group. */
  CreateGroup: 48,
  /** Adds people to a group. */
  InviteMembers: 49,
  /** Leaves a group. */
  LeaveGroup: 50,
  /** Removes a member. */
  RemoveMember: 51,
  /** Gives a member a role. */
  SetRole: 52,
  /** Renames a group or changes its history rule. */
  UpdateGroup: 53,
  /** Ends a group. */
  DissolveGroup: 54,
  /** Lists members. */
  ListMembers: 55,
  /** Catches up. */
  Sync: 64,
  /** Pushes were dropped; catch up. */
  SyncNeeded: 65,
  /** Watches who is online. */
  WatchPresence: 80,
  /** Somebody went on or off line. */
  PresenceChanged: 81,
} as const;
