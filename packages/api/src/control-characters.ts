/**
 * Shows control characters, C1 and DEL among them, as JSON writes them: a terminal does what they tell it, and text that
 * somebody else chose is not to tell it anything.
 *
 * @param keep control characters that stay as they are
 */
export function showControlCharacters(text: string, keep = ''): string {
  return text.replace(/\p{Cc}/gu, (character) => (keep.includes(character) ? character : shown(character)))
}

function shown(character: string): string {
  const json = JSON.stringify(character).slice(1, -1)
  return json === character ? `\\u${character.charCodeAt(0).toString(16).padStart(4, '0')}` : json
}
