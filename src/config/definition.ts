/**
 * What one row of the option table may say, and the value type that follows from it.
 *
 * The table is the single source: defaults, bounds, environment names, flags, the type `RelayOptions`,
 * `docs/configuration.md` and the tests are all derived from it. Kinds:
 *
 * | kind         | value in code                      | as text (environment, flag)         |
 * | ------------ | ---------------------------------- | ----------------------------------- |
 * | `integer`    | number                             | decimal digits                      |
 * | `number`     | number                             | decimal, a fraction allowed         |
 * | `count`      | number, or `'auto'`                | decimal digits, or `auto`           |
 * | `boolean`    | boolean                            | `true` or `false`                   |
 * | `enum`       | one of `values`                    | the word itself                     |
 * | `string`     | string                             | as it is                            |
 * | `list`       | array of strings                   | items separated by commas           |
 * | `url`        | string                             | as it is                            |
 * | `port`       | number, 0 = any free port          | decimal digits                      |
 * | `parameters` | object of strings                  | `name=value&name=value`, URL-encoded |
 * | `regions`    | array of `RegionOption`            | names separated by commas            |
 */

/** Chapters of the reference page, in its order. */
export const THEMES = {
  server: 'Listening',
  access: 'Who may come in',
  clients: 'Clients',
  sessions: 'Sessions',
  audio: 'Audio',
  rollover: 'From one stream to the next',
  resume: 'Clients that come back',
  overload: 'Overload',
  upstream: 'Amazon Transcribe',
  regions: 'Regions and quotas',
  redis: 'State shared by several relays',
  credentials: 'Credentials and signing',
  stream: 'Defaults of a stream',
  operations: 'Shutting down, logs',
} as const

export type Theme = keyof typeof THEMES

interface DefinitionBase {
  readonly theme: Theme
  /** What it does and what happens past it. Markdown, one paragraph. */
  readonly doc: string
  /** What the number counts, in words; absent where there is nothing to count. */
  readonly unit?: string
  /** The value may not be printed: not in a problem, not by the `config` command. */
  readonly secret?: true
}

export interface NumberDefinition extends DefinitionBase {
  readonly kind: 'integer' | 'number'
  readonly default: number
  readonly min: number
  readonly max: number
  readonly multipleOf?: number
  /** 0 is allowed below `min` and turns the thing off. */
  readonly zeroIsOff?: true
}

/** A whole number, or `auto`: as many as the machine suggests. */
export interface CountDefinition extends DefinitionBase {
  readonly kind: 'count'
  readonly default: number | 'auto'
  readonly min: number
  readonly max: number
}

export interface PortDefinition extends DefinitionBase {
  readonly kind: 'port'
  readonly default: number
}

export interface BooleanDefinition extends DefinitionBase {
  readonly kind: 'boolean'
  readonly default: boolean
}

export interface EnumDefinition extends DefinitionBase {
  readonly kind: 'enum'
  readonly default: string
  readonly values: readonly string[]
}

/** How the text of a string, or of each item of a list, must look. */
interface TextShape {
  readonly pattern: RegExp
  /** The pattern in words: "a region code such as us-east-1". */
  readonly shape: string
}

export interface StringDefinition extends DefinitionBase, TextShape {
  readonly kind: 'string'
  /** `null`: not set. */
  readonly default: string | null
}

export interface ListDefinition extends DefinitionBase, TextShape {
  readonly kind: 'list'
  readonly default: readonly string[]
  readonly maxItems: number
}

export interface UrlDefinition extends DefinitionBase {
  readonly kind: 'url'
  /** `null`: not set. */
  readonly default: string | null
  readonly schemes: readonly string[]
  /** A path may stand behind the host. */
  readonly mayHavePath?: true
  /** User and password may stand before the host; for a row that is `secret`. */
  readonly mayHaveUser?: true
}

export interface ParametersDefinition extends DefinitionBase {
  readonly kind: 'parameters'
  readonly default: Readonly<Record<string, string>>
  readonly maxItems: number
  /** Names that may not be in it, with the reason. */
  readonly refused: Readonly<Record<string, string>>
}

/** One region to dial. What is left out is what the options beside say. */
export interface RegionOption {
  readonly region: string
  /** As the option `endpoint`. */
  readonly endpoint?: string | undefined
  /** Streams at once that the account may have there; 0: not counted. */
  readonly streams?: number | undefined
  /** Streams that may be started there in a second; 0: not counted. */
  readonly startsPerSecond?: number | undefined
  /** Role to assume for this region. */
  readonly roleArn?: string | undefined
  readonly roleExternalId?: string | undefined
}

export interface RegionsDefinition extends DefinitionBase {
  readonly kind: 'regions'
  readonly default: readonly RegionOption[]
  readonly maxItems: number
}

export type OptionDefinition =
  | NumberDefinition
  | CountDefinition
  | PortDefinition
  | BooleanDefinition
  | EnumDefinition
  | StringDefinition
  | ListDefinition
  | UrlDefinition
  | ParametersDefinition
  | RegionsDefinition

/** The type of an option's value, from its row. */
export type OptionValue<Definition extends OptionDefinition> = Definition extends EnumDefinition
  ? Definition['values'][number]
  : Definition extends BooleanDefinition
    ? boolean
    : Definition extends NumberDefinition | PortDefinition
      ? number
      : Definition extends CountDefinition
        ? number | 'auto'
        : Definition extends ListDefinition
          ? readonly string[]
          : Definition extends RegionsDefinition
            ? readonly RegionOption[]
            : Definition extends ParametersDefinition
              ? Readonly<Record<string, string>>
              : Definition['default'] extends string
                ? string
                : string | null

/** Any value an option can have. */
export type AnyOptionValue =
  | string
  | number
  | boolean
  | readonly string[]
  | readonly RegionOption[]
  | Readonly<Record<string, string>>
  | null
