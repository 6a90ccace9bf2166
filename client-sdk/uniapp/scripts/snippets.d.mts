/** The snippets of a page: where each would lie, and what it says. */
export function snippets(page: string): { place: string; script: string }[];
