/** Colours and letters for people and groups without a picture. */

/** What an avatar shows. */
export interface Face {
  readonly letter: string
  readonly back: string
  readonly front: string
}

// Background and text, for light and dark; muted neighbours of the accent.
const LIGHT: readonly (readonly [string, string])[] = [
  ['#cfe3df', '#1b5557'],
  ['#dde3cf', '#4a5a22'],
  ['#f0dfc9', '#7a4a14'],
  ['#f1d8d0', '#84382a'],
  ['#e6d8e6', '#6a3a6c'],
  ['#d6dcec', '#384b82'],
  ['#d2e2ec', '#21566f'],
  ['#e5dfd2', '#5c5036'],
]
const DARK: readonly (readonly [string, string])[] = [
  ['#20494a', '#a8dcd6'],
  ['#39431f', '#cbd9a1'],
  ['#4b3517', '#eec893'],
  ['#4e2a22', '#f0b5a6'],
  ['#432b45', '#ddb8df'],
  ['#2a3658', '#b9c7f0'],
  ['#1d3f50', '#a5d3ea'],
  ['#3d3727', '#d9cdae'],
]

function hash(text: string): number {
  let value = 2_166_136_261
  for (let index = 0; index < text.length; index += 1) {
    value = Math.imul(value ^ text.charCodeAt(index), 16_777_619)
  }
  return value >>> 0
}

/** The face of `seed` (an id, which never changes) called `name`. */
export function faceOf(seed: string, name: string, dark: boolean): Face {
  const palette = dark ? DARK : LIGHT
  const [back, front] = palette[hash(seed) % palette.length] ?? ['#ccc', '#222']
  const letter = Array.from(name.trim())[0] ?? '·'
  return { letter: letter.toUpperCase(), back, front }
}
