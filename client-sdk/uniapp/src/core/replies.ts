/**
 * What the replies to an app's own requests say of this user's state, so that
 * it is right at once and not only after the next sync. A payload that cannot
 * be read teaches nothing: it is the app's to object.
 */
import { ClientError } from '../error.js';
import { ErrorCode } from '../errorCode.js';
import { Devices, Profiles, RevokeDevice } from '../gen/auth.js';
import { Group } from '../gen/conversation.js';
import type { Error as ErrorPb } from '../gen/frame.js';
import { DissolveGroup, LeaveGroup } from '../gen/group.js';
import type { DeviceState } from '../model/conversation.js';
import type { ConversationId } from '../model/ids.js';
import { groupConversation } from '../model/ids.js';
import { readDevice, readProfile } from '../model/wire.js';
import { Opcode } from '../opcode.js';
import { onDissolved, onGroup } from './groups.js';
import { markGone } from './merge.js';
import { learnProfiles } from './people.js';
import type { CoreState } from './state.js';

/** What a reply is to be read for. */
export type Lesson =
  | { readonly kind: 'deviceRevoked'; readonly id: string }
  | { readonly kind: 'devices' }
  | { readonly kind: 'dissolved'; readonly conversation: ConversationId }
  | { readonly kind: 'group' }
  | { readonly kind: 'left'; readonly conversation: ConversationId }
  | { readonly kind: 'nothing' }
  | { readonly kind: 'othersSignedOut' }
  | { readonly kind: 'profiles' };

/** What the reply to this request will teach. */
export function lessonOf(opcode: number, payload: Uint8Array): Lesson {
  try {
    switch (opcode) {
      case Opcode.CreateGroup:
      case Opcode.InviteMembers:
      case Opcode.RemoveMember:
      case Opcode.SetRole:
      case Opcode.UpdateGroup:
        return { kind: 'group' };
      case Opcode.ChangePassword:
        return { kind: 'othersSignedOut' };
      case Opcode.DissolveGroup: {
        const { group } = DissolveGroup.decode(payload);
        return { kind: 'dissolved', conversation: groupConversation(group) };
      }
      case Opcode.FindUser:
      case Opcode.GetProfiles:
        return { kind: 'profiles' };
      case Opcode.LeaveGroup: {
        const { group } = LeaveGroup.decode(payload);
        return { kind: 'left', conversation: groupConversation(group) };
      }
      case Opcode.ListDevices:
        return { kind: 'devices' };
      case Opcode.RevokeDevice:
        return { kind: 'deviceRevoked', id: RevokeDevice.decode(payload).deviceId };
      default:
    }
  } catch {
    // As said above.
  }
  return { kind: 'nothing' };
}

/** The server did what the app asked for. */
export function learn(core: CoreState, lesson: Lesson, reply: Uint8Array): void {
  try {
    apply(core, lesson, reply);
  } catch {
    // As said above.
  }
}

function apply(core: CoreState, lesson: Lesson, reply: Uint8Array): void {
  switch (lesson.kind) {
    case 'devices':
      core.devices = Devices.decode(reply).devices.map(readDevice);
      core.events.push({ kind: 'devicesChanged' });
      break;
    case 'deviceRevoked':
      keepDevices(core, (device) => device.id !== lesson.id);
      break;
    case 'dissolved':
      onDissolved(core, lesson.conversation);
      break;
    case 'group':
      onGroup(core, Group.decode(reply));
      break;
    case 'left':
      markGone(core, lesson.conversation);
      break;
    case 'othersSignedOut':
      keepDevices(core, (device) => device.id === core.config.device.id);
      break;
    case 'profiles':
      learnProfiles(core, Profiles.decode(reply).profiles.map(readProfile));
      break;
    case 'nothing':
      break;
  }
}

/** The server did not: that, too, can say something. */
export function learnRefusal(core: CoreState, lesson: Lesson, error: ClientError): void {
  if (lesson.kind === 'left' && error.is(ErrorCode.NotMember)) {
    // An earlier attempt was carried out, or somebody was faster.
    markGone(core, lesson.conversation);
  }
}

function keepDevices(core: CoreState, kept: (device: DeviceState) => boolean): void {
  const before = core.devices;
  core.devices = before?.filter(kept);
  if (core.devices?.length !== before?.length) {
    core.events.push({ kind: 'devicesChanged' });
  }
}

/** The error of a refusal. */
export function refusal(error: ErrorPb): ClientError {
  return new ClientError('refused', error.message, error.code, error.retryAfterMs);
}
