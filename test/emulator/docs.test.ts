/** docs/emulator.md says everything there is, and nothing that is not. */
import { readFileSync } from 'node:fs'
import t from 'tap'
import {
  EMULATOR_OPTIONS,
  FAULT_NAMES,
  parseFaultScript,
  type EmulatorOptionDefinition,
} from '../../src/emulator/index.ts'

const page = readFileSync('docs/emulator.md', 'utf8')

/** Names in the first column of the table below a heading. */
function namesBelow(heading: string): string[] {
  const section = page.split(`\n## ${heading}\n`)[1]?.split('\n## ')[0] ?? ''
  return [...section.matchAll(/^\| `(\w+)`/gm)].map(([, name]) => name ?? '')
}

t.test('every option is in the table with its unit, default and bounds', async t => {
  t.strictSame(namesBelow('Options').sort(), Object.keys(EMULATOR_OPTIONS).sort())
  for (const [name, option] of Object.entries<EmulatorOptionDefinition>(EMULATOR_OPTIONS)) {
    const row = page.split('\n').find(line => line.startsWith(`| \`${name}\``)) ?? ''
    const plain = row.replaceAll('\u00a0', '')
    t.ok(plain.includes(`| ${option.unit} |`), `${name}: ${option.unit}`)
    t.ok(plain.includes(`| ${option.default} |`), `${name}: ${option.default}`)
    if (option.kind === 'number') t.ok(plain.includes(`| ${option.min}–${option.max} |`), `${name}: bounds`)
    t.ok(plain.includes(option.doc), `${name}: ${option.doc}`)
  }
})

t.test('every fault is explained', async t => {
  t.strictSame(namesBelow('Faults').sort(), [...FAULT_NAMES].sort())
})

t.test('every script of the page is valid', async t => {
  const scripts = [...page.matchAll(/```json\n([\s\S]*?)```/g)].map(([, json]) => json ?? '')
  t.ok(scripts.length >= 2)
  for (const script of scripts) t.doesNotThrow(() => parseFaultScript(JSON.parse(script)), script)
})
