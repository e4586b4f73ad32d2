/**
 * Cuts foreign text to a readable length, for an error message.
 *
 * @param text - Any text.
 * @returns The text as it is, or its first 61 characters and three dots.
 */
export function shorten(text: string): string {
  return text.length > 64 ? `${text.slice(0, 61)}...` : text;
}
