/**
 * The messages of the protocol, for `client.request`. 64-bit numbers are
 * decimal strings; the bodies of messages stay encoded as `Body`.
 *
 * @packageDocumentation
 */
export * from './gen/auth.js';
export * from './gen/conversation.js';
export * from './gen/frame.js';
export * from './gen/group.js';
export * from './gen/presence.js';
export * from './gen/sync.js';
