/** What the screens know of a chat: the SDK's own snapshots, which never change once they were handed out. */
export type {
  Account,
  Body,
  ConversationId,
  ConversationState,
  DeviceState,
  GroupEvent,
  GroupInfo,
  GroupMember,
  Profile,
  Role,
  SendState,
  Status,
  TimelineItem,
  UserId,
} from '@hongyan/client'

/** One line of the diagnostics log. */
export interface LogLine {
  readonly id: number
  readonly ms: number
  readonly level: 'info' | 'warn' | 'error'
  readonly text: string
}
