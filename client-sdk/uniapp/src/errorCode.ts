/**
 * The numbers with which the server says what is wrong. 1xx: the bytes are
 * wrong. 2xx: who you are. 3xx: the request is wrong. 4xx: not allowed or not
 * there. 5xx: try again. 6xx: why a connection closes. A code that is not here
 * is treated by its hundred.
 */
export const ErrorCode = {
  /** A frame over the limit; the connection closes. */
  FrameTooLarge: 100,
  /** Bytes that are no protobuf frame; the connection stays open. */
  MalformedFrame: 101,
  /** The payload is not the message that the opcode names. */
  MalformedPayload: 102,
  /** The opcode is not known to this server. */
  UnknownOpcode: 103,
  /** A known request at the wrong time, such as Send before a session. */
  OutOfOrder: 104,
  /** The connection did not start with the preface; it closes. */
  BadPreface: 105,
  /** No protocol version in common; the connection closes. */
  NoCommonVersion: 106,
  /** The name or the password is wrong. */
  BadCredentials: 200,
  /** The access token has expired; refresh it. */
  TokenExpired: 201,
  /** The token is not valid here. */
  TokenInvalid: 202,
  /** The device was signed out; log in again. */
  DeviceRevoked: 203,
  /** The account is closed. */
  AccountDeactivated: 204,
  /** The account is banned. */
  AccountBanned: 205,
  /** The name is taken. */
  NameTaken: 206,
  /** Accounts cannot be made by clients of this server. */
  RegistrationClosed: 207,
  /** Tokens of external issuers are not accepted here. */
  ExternalLoginClosed: 208,
  /** A field is missing, too long, or out of range. */
  InvalidField: 300,
  /** The same client id was used before for something else. */
  IdConflict: 301,
  /** The conversation id is not well formed. */
  InvalidConversation: 302,
  /** The body is empty, too long, or not one the client may send. */
  InvalidBody: 303,
  /** Not allowed to this role. */
  NotAllowed: 400,
  /** Not a member of the conversation. */
  NotMember: 401,
  /** No such user. */
  NoSuchUser: 402,
  /** No such group. */
  NoSuchGroup: 403,
  /** The group was dissolved. */
  GroupDissolved: 404,
  /** The group is full. */
  GroupFull: 405,
  /** The owner cannot leave before handing the group over. */
  OwnerCannotLeave: 406,
  /** No such device. */
  NoSuchDevice: 407,
  /** The user has as many conversations as there can be. */
  ConversationsFull: 408,
  /** Too many requests; wait. */
  RateLimited: 500,
  /** The server is busy; nothing was done. */
  Busy: 501,
  /** The store takes no writes now (full or failed); nothing was acknowledged. */
  StoreUnavailable: 502,
  /** The server made a mistake; it is in its log. */
  Internal: 503,
  /** The server is stopping or restarting. */
  GoingAway: 600,
  /** Nothing was heard for too long. */
  IdleTimeout: 601,
  /** No session was opened in time. */
  LoginTimeout: 602,
  /** The client did not read what it was sent. */
  SlowConsumer: 603,
  /** Another device of the account took this one's place. */
  Replaced: 604,
  /** The device was signed out. */
  SignedOut: 605,
  /** Too many connections. */
  TooManyConnections: 606,
  /** Too many protocol errors on one connection. */
  TooManyErrors: 607,
} as const;

/** The number of a code, also of one that this version does not know. */
export type ErrorCodeNumber = number;

/** The name of a code; `undefined` for one that this version does not know. */
export function errorCodeName(code: ErrorCodeNumber): keyof typeof ErrorCode | undefined {
  const names = Object.keys(ErrorCode) as (keyof typeof ErrorCode)[];
  return names.find((name) => ErrorCode[name] === code);
}
