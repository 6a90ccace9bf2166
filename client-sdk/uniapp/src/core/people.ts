/** People's names: asked for when a conversation needs one, kept for all. */
import { GetProfiles } from '../gen/auth.js';
import { PROFILES_MAX } from '../limits.js';
import type { Profile } from '../model/conversation.js';
import type { ConversationId, UserId } from '../model/ids.js';
import { peerOf } from '../model/ids.js';
import { Opcode } from '../opcode.js';
import { profileRow } from './rows.js';
import type { CoreState } from './state.js';
import { directWith } from './state.js';

/** Keeps names that the server told. */
export function learnProfiles(core: CoreState, profiles: readonly (Profile | undefined)[]): void {
  for (const profile of profiles) {
    if (profile === undefined) {
      continue;
    }
    core.profilesDue.delete(profile.user);
    const known = core.profiles.get(profile.user);
    const same = known?.name === profile.name && known.displayName === profile.displayName;
    if (same || (known === undefined && core.profiles.size >= core.config.messagesMax)) {
      continue;
    }
    const id = directWith(core, profile.user);
    if (id !== undefined && core.convs.has(id)) {
      core.dirtyConversations.add(id);
    }
    core.put(profileRow(profile));
    core.profiles.set(profile.user, profile);
  }
}

/** A direct conversation needs the other side's name. */
export function learnPeer(core: CoreState, id: ConversationId, me: UserId): void {
  const peer = peerOf(id, me);
  if (peer !== undefined && !core.profiles.has(peer)) {
    core.profilesDue.add(peer);
  }
}

/** Asks for the names that conversations need. */
export function askProfiles(core: CoreState): void {
  if (core.profilesDue.size === 0 || core.requests.contains('profiles')) {
    return;
  }
  const due = [...core.profilesDue];
  core.profilesDue = new Set(due.slice(PROFILES_MAX));
  const request = GetProfiles.encode({ users: due.slice(0, PROFILES_MAX) });
  core.requestFrame({ kind: 'profiles' }, Opcode.GetProfiles, request);
}
