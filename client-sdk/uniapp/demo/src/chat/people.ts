/** Names for ids. What this device does not know is asked for in batches, once. */
import { shallowReactive } from 'vue'

import { t } from '../i18n'
import { account } from './state'
import type { Profile, UserId } from './types'

/** Where names come from; set by the session. */
export interface Directory {
  known(user: UserId): Profile | undefined
  ask(users: readonly UserId[]): Promise<readonly Profile[]>
}

const BATCH_MAX = 200
const profiles = shallowReactive(new Map<UserId, Profile>())
const wanted = new Set<UserId>()
const asked = new Set<UserId>()
let directory: Directory | null = null
let timer: ReturnType<typeof setTimeout> | undefined

/** Takes names from here from now on; with another account, all is forgotten. */
export function setDirectory(next: Directory | null): void {
  directory = next
  profiles.clear()
  wanted.clear()
  asked.clear()
}

/** A person's names, once they are known; asks for them otherwise. */
export function personOf(user: UserId): Profile | undefined {
  const found = profiles.get(user)
  if (found === undefined && !asked.has(user) && user !== '') {
    wanted.add(user)
    timer ??= setTimeout(() => void lookUp(), 0)
  }
  return found
}

/** Those who could not be asked for without a connection are asked for again. */
export function askAgain(): void {
  asked.clear()
}

/** What to call somebody. */
export function nameOf(user: UserId | undefined): string {
  if (user === undefined) return t('app.name')
  if (user === account.value?.user) return account.value.displayName
  return personOf(user)?.displayName ?? t('common.unknown')
}

/** What to call somebody in a sentence about them. */
export function nameInSentence(user: UserId | undefined, place: 'start' | 'inside' = 'start'): string {
  if (user === undefined || user !== account.value?.user) return nameOf(user)
  return t(place === 'start' ? 'common.you' : 'common.youInside')
}

async function lookUp(): Promise<void> {
  timer = undefined
  const source = directory
  if (source === null) return
  const missing: UserId[] = []
  for (const user of wanted) {
    const known = source.known(user)
    if (known !== undefined) profiles.set(user, known)
    else if (missing.length < BATCH_MAX) missing.push(user)
  }
  for (const user of missing) asked.add(user)
  const more = wanted.size > missing.length && missing.length === BATCH_MAX
  for (const user of [...wanted]) if (profiles.has(user) || asked.has(user)) wanted.delete(user)
  if (missing.length > 0) {
    try {
      for (const profile of await source.ask(missing)) {
        if (source === directory) profiles.set(profile.user, profile)
      }
    } catch {
      // Offline: `askAgain` allows them again after the next connection.
    }
  }
  if (more) timer ??= setTimeout(() => void lookUp(), 0)
}
