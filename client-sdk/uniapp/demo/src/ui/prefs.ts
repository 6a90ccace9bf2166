/** What the user chose for the app as a whole: theme and language. */
import { computed, ref } from 'vue'

import { language, languageFor, type Language } from '../i18n'
import { load, save } from './storage'

/** How the app chooses between light and dark. */
export type ThemeChoice = 'system' | 'light' | 'dark'
/** How the app chooses its language. */
export type LanguageChoice = 'system' | Language

const systemDark = ref(false)

/** The user's choice of theme. */
export const themeChoice = ref<ThemeChoice>('system')
/** The user's choice of language. */
export const languageChoice = ref<LanguageChoice>('system')
/** Whether the app is dark now. */
export const dark = computed(() => themeChoice.value === 'dark' || (themeChoice.value === 'system' && systemDark.value))

function systemLanguage(): Language {
  // #ifdef H5
  return languageFor(navigator.language)
  // #endif
  // #ifndef H5
  return languageFor(uni.getSystemInfoSync().language ?? 'zh')
  // #endif
}

/** Changes the theme and keeps the choice. */
export function setTheme(choice: ThemeChoice): void {
  themeChoice.value = choice
  save('theme', choice)
}

/** Changes the language and keeps the choice. */
export function setLanguage(choice: LanguageChoice): void {
  languageChoice.value = choice
  language.value = choice === 'system' ? systemLanguage() : choice
  save('language', choice)
  // #ifdef H5
  document.documentElement.lang = language.value === 'zh' ? 'zh-CN' : 'en'
  // #endif
}

/** Reads the choices and follows the system; once, when the app starts. */
export function startPrefs(): void {
  themeChoice.value = load<ThemeChoice>('theme', 'system')
  setLanguage(load<LanguageChoice>('language', 'system'))
  // #ifdef H5
  const query = window.matchMedia('(prefers-color-scheme: dark)')
  systemDark.value = query.matches
  query.addEventListener('change', (event) => (systemDark.value = event.matches))
  // #endif
  // #ifndef H5
  const info = uni.getSystemInfoSync()
  systemDark.value = (info.osTheme ?? info.hostTheme) === 'dark'
  uni.onThemeChange((event) => (systemDark.value = event.theme === 'dark'))
  // #endif
}
