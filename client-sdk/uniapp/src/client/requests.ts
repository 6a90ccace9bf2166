/** The requests that have a method of their own, each encoded and decoded. */
import { ClientError } from '../error.js';
import {
  ChangePassword,
  Deactivate,
  Devices,
  FindUser,
  GetProfiles,
  ListDevices,
  Profiles,
  RevokeDevice,
} from '../gen/auth.js';
import { Group, History, HistoryPage } from '../gen/conversation.js';
import {
  CreateGroup,
  DissolveGroup,
  HistoryRule,
  InviteMembers,
  LeaveGroup,
  ListMembers,
  Members,
  RemoveMember,
  SetRole,
  UpdateGroup,
} from '../gen/group.js';
import { HISTORY_LIMIT_MAX, PROFILES_MAX } from '../limits.js';
import type { DeviceState, GroupInfo, Profile } from '../model/conversation.js';
import type { ConversationId, GroupId, UserId } from '../model/ids.js';
import type { Role } from '../model/message.js';
import {
  readDevice,
  readGroup,
  readMember,
  readMessages,
  readProfile,
  writeConversationId,
  writeRole,
} from '../model/wire.js';
import { Opcode } from '../opcode.js';
import type { BinaryWriter } from '../wire/wire.js';
import { WireError } from '../wire/wire.js';
import type { GroupMembers, GroupUpdate, HistoryPage as Page } from './api.js';

/** Sends a request and resolves to the reply's payload. */
export type Ask = (opcode: number, payload: Uint8Array) => Promise<Uint8Array>;

interface Decoder<T> {
  decode(payload: Uint8Array): T;
}

/** Requests over `ask`. */
export class RequestSet {
  constructor(private readonly ask: Ask) {}

  async devices(): Promise<DeviceState[]> {
    const reply = await this.call(Opcode.ListDevices, ListDevices.encode({}), Devices);
    return reply.devices.map(readDevice);
  }

  revokeDevice(deviceId: string): Promise<void> {
    return this.command(Opcode.RevokeDevice, RevokeDevice.encode({ deviceId }));
  }

  changePassword(oldPassword: string, newPassword: string): Promise<void> {
    return this.command(Opcode.ChangePassword, ChangePassword.encode({ oldPassword, newPassword }));
  }

  deactivate(password: string): Promise<void> {
    return this.command(Opcode.Deactivate, Deactivate.encode({ password }));
  }

  async findUser(name: string): Promise<Profile> {
    const reply = await this.call(Opcode.FindUser, FindUser.encode({ name }), Profiles);
    const [found] = reply.profiles.map(readProfile);
    if (found === undefined) {
      throw new ClientError('protocol', 'the reply names nobody');
    }
    return found;
  }

  /** Names that the server has, asked for 200 at a time. */
  async profiles(users: readonly UserId[]): Promise<Profile[]> {
    const found: Profile[] = [];
    for (let at = 0; at < users.length; at += PROFILES_MAX) {
      const request = GetProfiles.encode({ users: users.slice(at, at + PROFILES_MAX) });
      const reply = await this.call(Opcode.GetProfiles, request, Profiles);
      found.push(...reply.profiles.map(readProfile).filter((profile) => profile !== undefined));
    }
    return found;
  }

  async history(
    id: ConversationId,
    fromSeq: number,
    toSeq: number,
    limit: number,
    backwards: boolean,
  ): Promise<Page> {
    const request = History.encode({
      conversation: writeConversationId(id),
      fromSeq: String(fromSeq),
      toSeq: String(toSeq),
      limit: Math.min(limit, HISTORY_LIMIT_MAX),
      backwards,
    });
    const page = await this.call(Opcode.History, request, HistoryPage);
    return { messages: readMessages(page.messages), more: page.more };
  }

  createGroup(
    clientGroupId: Uint8Array,
    name: string,
    members: readonly UserId[],
    historyVisible: boolean,
  ): Promise<GroupInfo> {
    const message = { clientGroupId, name, members: [...members], historyVisible };
    return this.group(Opcode.CreateGroup, CreateGroup.encode(message));
  }

  inviteMembers(group: GroupId, users: readonly UserId[]): Promise<GroupInfo> {
    return this.group(Opcode.InviteMembers, InviteMembers.encode({ group, users: [...users] }));
  }

  leaveGroup(group: GroupId): Promise<void> {
    return this.command(Opcode.LeaveGroup, LeaveGroup.encode({ group }));
  }

  removeMember(group: GroupId, user: UserId): Promise<GroupInfo> {
    return this.group(Opcode.RemoveMember, RemoveMember.encode({ group, user }));
  }

  setRole(group: GroupId, user: UserId, role: Role): Promise<GroupInfo> {
    return this.group(Opcode.SetRole, SetRole.encode({ group, user, role: writeRole(role) }));
  }

  updateGroup(group: GroupId, { name = '', historyVisible }: GroupUpdate): Promise<GroupInfo> {
    const { HISTORY_RULE_UNCHANGED, HISTORY_RULE_VISIBLE, HISTORY_RULE_HIDDEN } = HistoryRule;
    const rule = historyVisible === true ? HISTORY_RULE_VISIBLE : HISTORY_RULE_HIDDEN;
    const history = historyVisible === undefined ? HISTORY_RULE_UNCHANGED : rule;
    return this.group(Opcode.UpdateGroup, UpdateGroup.encode({ group, name, history }));
  }

  dissolveGroup(group: GroupId): Promise<void> {
    return this.command(Opcode.DissolveGroup, DissolveGroup.encode({ group }));
  }

  async listMembers(group: GroupId, afterUser: UserId, limit: number): Promise<GroupMembers> {
    const request = ListMembers.encode({ group, afterUser, limit });
    const reply = await this.call(Opcode.ListMembers, request, Members);
    return { members: reply.members.map(readMember), more: reply.more };
  }

  private async group(opcode: number, message: BinaryWriter): Promise<GroupInfo> {
    const group = readGroup(await this.call(opcode, message, Group));
    if (group === undefined) {
      throw new ClientError('protocol', 'the reply names no group');
    }
    return group;
  }

  private async command(opcode: number, message: BinaryWriter): Promise<void> {
    await this.ask(opcode, message.finish());
  }

  private async call<T>(opcode: number, message: BinaryWriter, reply: Decoder<T>): Promise<T> {
    return decode(reply, await this.ask(opcode, message.finish()));
  }
}

/** Decodes a reply. @throws ClientError `protocol`. */
export function decode<T>(decoder: Decoder<T>, payload: Uint8Array): T {
  try {
    return decoder.decode(payload);
  } catch (error) {
    throw new ClientError('protocol', error instanceof WireError ? error.message : String(error));
  }
}
