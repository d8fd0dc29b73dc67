/**
 * OpenAPI v2 as protocol buffers (gnostic's `openapi.v2.Document`), the only form in which client-go asks for it. Only
 * what `openApiV2` writes is encoded; field numbers are those of gnostic's OpenAPIv2.proto.
 */

type Json = Record<string, unknown>
type Writer = (value: Json, out: MessageWriter) => void

/** Encodes a document that `openApiV2` made. */
export function encodeOpenApiV2(document: object): Buffer {
  return message(document as Json, writeDocument)
}

class MessageWriter {
  readonly chunks: Buffer[] = []

  string(field: number, value: unknown): void {
    if (typeof value === 'string' && value !== '') this.bytes(field, Buffer.from(value))
  }

  strings(field: number, values: unknown): void {
    for (const value of (values ?? []) as string[]) this.bytes(field, Buffer.from(value))
  }

  boolean(field: number, value: unknown): void {
    if (value === true) this.chunks.push(varint(field << 3), varint(1))
  }

  integer(field: number, value: unknown): void {
    if (typeof value === 'number' && value !== 0) this.chunks.push(varint(field << 3), varint(value))
  }

  double(field: number, value: unknown): void {
    if (typeof value !== 'number') return
    const bytes = Buffer.alloc(8)
    bytes.writeDoubleLE(value)
    this.chunks.push(varint((field << 3) | 1), bytes)
  }

  message(field: number, value: unknown, write: Writer): void {
    if (value !== undefined) this.bytes(field, message(value as Json, write))
  }

  bytes(field: number, value: Buffer): void {
    this.chunks.push(varint((field << 3) | 2), varint(value.length), value)
  }
}

function message(value: Json, write: Writer): Buffer {
  const writer = new MessageWriter()
  write(value, writer)
  return Buffer.concat(writer.chunks)
}

function varint(value: number): Buffer {
  // Negative numbers take the ten bytes of their two's complement.
  let rest = BigInt.asUintN(64, BigInt(Math.trunc(value)))
  const bytes: number[] = []
  do {
    const more = rest > 127n
    bytes.push(Number(rest & 127n) | (more ? 128 : 0))
    rest >>= 7n
  } while (rest > 0n)
  return Buffer.from(bytes)
}

/** Any map is a list of messages with a name and a value. */
function named(field: number, entries: Json, write: Writer, out: MessageWriter): void {
  for (const [name, value] of Object.entries(entries)) {
    out.message(field, value, (_value, item) => {
      item.string(1, name)
      item.message(2, value, write)
    })
  }
}

function writeAny(value: unknown, out: MessageWriter): void {
  // JSON is YAML.
  out.string(2, `${JSON.stringify(value)}\n`)
}

function extensions(field: number, value: Json, out: MessageWriter): void {
  for (const [name, extension] of Object.entries(value)) {
    if (!name.startsWith('x-')) continue
    out.message(field, {}, (_none, item) => {
      item.string(1, name)
      item.message(2, {}, (_any, any) => writeAny(extension, any))
    })
  }
}

const writeDocument: Writer = (document, out) => {
  out.string(1, document['swagger'])
  out.message(2, document['info'], (info, item) => {
    item.string(1, info['title'])
    item.string(2, info['version'])
  })
  out.message(8, document['paths'], (paths, item) => named(2, paths, writePathItem, item))
  out.message(9, document['definitions'], (definitions, item) => named(1, definitions, writeSchema, item))
  for (const requirement of (document['security'] ?? []) as Json[]) {
    out.message(12, requirement, (security, item) => {
      named(1, security, (scopes, value) => value.strings(1, scopes), item)
    })
  }
  out.message(13, document['securityDefinitions'], (definitions, item) => {
    named(1, definitions, (definition, value) => value.message(2, definition, writeApiKey), item)
  })
}

const writeApiKey: Writer = (key, out) => {
  out.string(1, key['type'])
  out.string(2, key['name'])
  out.string(3, key['in'])
}

const METHOD_FIELDS: ReadonlyArray<[method: string, field: number]> = [
  ['get', 2],
  ['put', 3],
  ['post', 4],
  ['delete', 5],
  ['patch', 8],
]

const writePathItem: Writer = (item, out) => {
  for (const [method, field] of METHOD_FIELDS) out.message(field, item[method], writeOperation)
  for (const parameter of item['parameters'] as Json[]) out.message(9, parameter, writeParametersItem)
}

const writeOperation: Writer = (operation, out) => {
  out.strings(1, operation['tags'])
  out.string(3, operation['description'])
  out.string(5, operation['operationId'])
  out.strings(6, operation['produces'])
  out.strings(7, operation['consumes'])
  for (const parameter of (operation['parameters'] ?? []) as Json[]) out.message(8, parameter, writeParametersItem)
  out.message(9, operation['responses'], (responses, item) => {
    named(1, responses, (response, value) => value.message(1, response, writeResponse), item)
  })
  out.strings(10, operation['schemes'])
  extensions(13, operation, out)
}

const writeResponse: Writer = (response, out) => {
  out.string(1, response['description'])
  out.message(2, response['schema'], (schema, item) => item.message(1, schema, writeSchema))
}

const writeParametersItem: Writer = (parameter, out) => {
  out.message(1, parameter, (given, item) => {
    if (given['in'] === 'body') item.message(1, given, writeBodyParameter)
    else item.message(2, given, writeNonBodyParameter)
  })
}

const writeBodyParameter: Writer = (parameter, out) => {
  out.string(2, parameter['name'])
  out.string(3, parameter['in'])
  out.boolean(4, parameter['required'])
  out.message(5, parameter['schema'], writeSchema)
}

const writeNonBodyParameter: Writer = (parameter, out) => {
  if (parameter['in'] === 'path') {
    out.message(4, parameter, (given, item) => {
      item.boolean(1, given['required'])
      item.string(2, given['in'])
      item.string(4, given['name'])
      item.string(5, given['type'])
      item.boolean(18, given['uniqueItems'])
    })
    return
  }
  out.message(3, parameter, (given, item) => {
    item.boolean(1, given['required'])
    item.string(2, given['in'])
    item.string(4, given['name'])
    item.string(6, given['type'])
    item.boolean(19, given['uniqueItems'])
  })
}

const writeSchema: Writer = (schema, out) => {
  out.string(1, schema['$ref'])
  out.string(2, schema['format'])
  out.string(3, schema['title'])
  out.string(4, schema['description'])
  if (schema['default'] !== undefined) out.message(5, {}, (_none, any) => writeAny(schema['default'], any))
  out.double(6, schema['multipleOf'])
  out.double(7, schema['maximum'])
  out.boolean(8, schema['exclusiveMaximum'])
  out.double(9, schema['minimum'])
  out.boolean(10, schema['exclusiveMinimum'])
  out.integer(11, schema['maxLength'])
  out.integer(12, schema['minLength'])
  out.string(13, schema['pattern'])
  out.integer(14, schema['maxItems'])
  out.integer(15, schema['minItems'])
  out.boolean(16, schema['uniqueItems'])
  out.integer(17, schema['maxProperties'])
  out.integer(18, schema['minProperties'])
  out.strings(19, schema['required'])
  for (const value of (schema['enum'] ?? []) as unknown[]) out.message(20, {}, (_none, any) => writeAny(value, any))
  const additional = schema['additionalProperties']
  if (typeof additional === 'boolean') out.message(21, {}, (_none, item) => item.boolean(2, additional))
  else if (additional) out.message(21, additional, (values, item) => item.message(1, values, writeSchema))
  if (schema['type']) out.message(22, {}, (_none, item) => item.strings(1, [schema['type']]))
  if (schema['items']) out.message(23, schema['items'], (items, item) => item.message(1, items, writeSchema))
  out.message(25, schema['properties'], (properties, item) => named(1, properties, writeSchema, item))
  extensions(31, schema, out)
}
