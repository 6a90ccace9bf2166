/** The language of the app: `t('key', values)` is reactive, so that a change of language redraws what is on the screen. */
import { ref } from 'vue'

import { en, type TextKey, type Texts } from './en'
import { zh } from './zh'

/** A language that the app speaks. */
export type Language = 'en' | 'zh'
export type { TextKey }

const TEXTS: Readonly<Record<Language, Texts>> = { en, zh }

/** The language in use. Set it by `setLanguage` of `ui/prefs`. */
export const language = ref<Language>('en')

/** The text of `key` in the language in use, with `{name}` places filled from `values`. */
export function t(key: TextKey, values: Readonly<Record<string, string | number>> = {}): string {
  return TEXTS[language.value][key].replace(/\{(\w+)\}/g, (whole, name: string) =>
    name in values ? String(values[name]) : whole,
  )
}

/** The app's language that fits a system's language tag. */
export function languageFor(tag: string): Language {
  return tag.toLowerCase().startsWith('zh') ? 'zh' : 'en'
}
