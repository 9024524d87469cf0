/**
 * Whether a text is well-formed XML, as far as generated documents can go wrong: tags that nest, quoted attributes that
 * occur once, escaped text. Returns the name of the root; throws where it stops being XML.
 */
const TAG = /<(\/?)([a-zA-Z][\w:.-]*)((?:\s+[\w:.-]+="[^"<]*")*)\s*(\/?)>|<!\[CDATA\[[\s\S]*?\]\]>/gy
const ENTITY = /&(?!(?:amp|lt|gt|quot|apos|#\d+|#x[0-9a-fA-F]+);)/

export function checkXml(text: string): string {
  const open: string[] = []
  let root: string | null = null
  let at = 0
  while (at < text.length) {
    const next = text.indexOf('<', at)
    checkText(text.slice(at, next === -1 ? text.length : next), at, open.length)
    if (next === -1) break
    TAG.lastIndex = next
    const tag = TAG.exec(text)
    if (tag === null) throw new SyntaxError(`no tag at ${next}: ${text.slice(next, next + 60)}`)
    const [whole, isEnd, name, attributes = '', isEmpty] = tag
    at = next + whole.length
    if (name === undefined) continue
    checkAttributes(attributes, next)
    if (isEnd === '/') {
      if (open.pop() !== name) throw new SyntaxError(`</${name}> at ${next} closes nothing`)
      continue
    }
    if (open.length === 0 && root !== null) throw new SyntaxError(`a second root, ${name}, at ${next}`)
    root ??= name
    if (isEmpty !== '/') open.push(name)
  }
  if (root === null || open.length > 0) throw new SyntaxError(`the end comes inside of ${open.join(' ')}`)
  return root
}

function checkText(text: string, at: number, depth: number): void {
  if (ENTITY.test(text)) throw new SyntaxError(`an unescaped ampersand after ${at}`)
  if (depth === 0 && text.trim() !== '') throw new SyntaxError(`text outside of the root at ${at}`)
}

function checkAttributes(attributes: string, at: number): void {
  if (ENTITY.test(attributes)) throw new SyntaxError(`an unescaped ampersand in a tag at ${at}`)
  const names = [...attributes.matchAll(/\s([\w:.-]+)="/g)].map(([, name]) => name)
  if (new Set(names).size < names.length) throw new SyntaxError(`an attribute twice at ${at}`)
}
