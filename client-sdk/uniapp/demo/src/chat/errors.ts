/** What went wrong, in the user's language. */
import { ClientError, ErrorCode, errorCodeName } from '@hongyan/client'

import { t, type TextKey } from '../i18n'
import { serverAddress } from './server'

const REFUSED: Readonly<Partial<Record<number, TextKey>>> = {
  [ErrorCode.BadCredentials]: 'error.badCredentials',
  [ErrorCode.NameTaken]: 'error.nameTaken',
  [ErrorCode.RegistrationClosed]: 'error.registrationClosed',
  [ErrorCode.InvalidField]: 'error.invalidField',
  [ErrorCode.DeviceRevoked]: 'error.deviceRevoked',
  [ErrorCode.TokenExpired]: 'error.deviceRevoked',
  [ErrorCode.TokenInvalid]: 'error.deviceRevoked',
  [ErrorCode.AccountDeactivated]: 'error.deactivated',
  [ErrorCode.AccountBanned]: 'error.banned',
  [ErrorCode.NoSuchUser]: 'error.noSuchUser',
  [ErrorCode.NotMember]: 'error.notMember',
  [ErrorCode.NotAllowed]: 'error.notAllowed',
  [ErrorCode.GroupDissolved]: 'error.groupDissolved',
  [ErrorCode.GroupFull]: 'error.groupFull',
  [ErrorCode.OwnerCannotLeave]: 'error.ownerCannotLeave',
  [ErrorCode.Busy]: 'error.busy',
  [ErrorCode.StoreUnavailable]: 'error.busy',
  [ErrorCode.Internal]: 'error.busy',
}

/** A sentence for an error of the SDK, or of anything else. */
export function errorText(error: unknown): string {
  if (!(error instanceof ClientError)) return t('error.other', { code: error instanceof Error ? error.message : String(error) })
  switch (error.kind) {
    case 'refused': {
      if (error.is(ErrorCode.RateLimited)) return t('error.rateLimited', { seconds: Math.max(1, Math.ceil(error.retryAfterMs / 1_000)) })
      const key = REFUSED[error.code]
      return key === undefined ? t('error.other', { code: errorCodeName(error.code) ?? error.code }) : t(key)
    }
    case 'connect':
    case 'protocol':
      return t('error.unreachable', { server: serverAddress.value })
    case 'offline':
      return t('error.offline')
    case 'timedOut':
      return t('error.timedOut')
    case 'outboxFull':
    case 'tooManyRequests':
      return t('error.outboxFull')
    case 'storage':
      return t('error.storage')
    case 'invalid':
      return t('error.invalidField')
    case 'closed':
      return t('error.closed')
    default:
      return t('error.other', { code: error.kind })
  }
}
