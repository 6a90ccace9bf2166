/** The emoji of the panel, in groups. */
import type { TextKey } from '../i18n'

/** A group of emoji with its name. */
export interface EmojiGroup {
  readonly title: TextKey
  readonly emoji: readonly string[]
}

const split = (text: string): string[] => text.split(' ')

/** All groups, in the order of the panel. */
export const EMOJI: readonly EmojiGroup[] = [
  {
    title: 'emoji.smileys',
    emoji: split('😀 😄 😁 😅 😂 🤣 😊 🙂 😉 😍 🥰 😘 😋 😎 🤩 🥳 🤔 🤗 🤭 😏 😌 😴 🤤 😇 🙃 😐 😑 😬 🙄 😔 😢 😭 😤 😠 😡 😱 😰 😳 🥺 🤯 🤒 🤧 🥱 🤫 😶 🤝'),
  },
  {
    title: 'emoji.hands',
    emoji: split('👍 👎 👌 ✌️ 🤞 👏 🙌 🙏 💪 👋 🤙 👉 👈 👆 👇 ✊ 👀 🧠 👶 👧 👦 👩 👨 👵 👴 🙋 🙇 🤷 🤦 🏃 💃 👪 ❤️ 🧡 💛 💚 💙 💜 💔 💯'),
  },
  {
    title: 'emoji.nature',
    emoji: split('🪿 🦢 🦆 🐦 🐶 🐱 🐰 🦊 🐻 🐼 🐯 🐮 🐷 🐵 🐔 🐢 🐟 🐳 🦋 🐝 🌸 🌹 🌻 🌲 🌴 🍀 🍁 🍂 🌈 ☀️ 🌙 ⭐ ☁️ ⛈️ ❄️ 🔥 💧 🌊'),
  },
  {
    title: 'emoji.food',
    emoji: split('🍎 🍊 🍋 🍉 🍇 🍓 🍑 🥝 🍅 🌽 🥕 🍞 🥚 🍳 🍔 🍟 🍕 🌮 🍜 🍚 🍣 🥟 🍲 🍦 🍰 🎂 🍫 🍬 ☕ 🍵 🧋 🍺 🍷 🥂'),
  },
  {
    title: 'emoji.things',
    emoji: split('🎉 🎈 🎁 🏮 🧧 🎵 🎮 ⚽ 🏀 🏓 🎯 🎨 📷 💻 📱 ⌚ 💡 📚 ✏️ 📎 📌 📅 📦 ✉️ 🔑 🔒 🛠️ ⏰ 🚗 🚄 ✈️ 🚀 🏠 🏢 🗺️ ✅ ❌ ❓ ❗ 💬'),
  },
]
