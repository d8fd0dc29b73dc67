/** One request on its way through the server, whichever door it came in by, and what is answered. */
import type { KubeObject, UserInfo } from '@caisson/api'
import type { Resource } from '../registry/resource.ts'
import type { Transaction } from '../storage/store.ts'
import type { Decoded } from './decode.ts'

/** What the path and the method say, in the terms of authorization and of `apiserver_request_total`. */
export interface RequestInfo {
  isResource: boolean
  path: string
  /** get, list, watch, create, update, patch, delete, deletecollection; of other paths the method in lower case. */
  verb: string
  group: string
  version: string
  namespace: string
  /**
   * The one name that a list or a watch can find, where its field selector pins it: authorization takes it for the name
   * of the request, so that rules with `resourceNames` allow to watch a single object.
   */
  selectedName?: string
  /** Of a request for a collection, as it was sent. */
  fieldSelector?: string
  /** Plural name; empty for group and version roots. */
  resource: string
  subresource: string
  name: string
  /** What follows the subresource: the path of a proxied request. */
  rest: string
}

export type Query = Readonly<Record<string, string | undefined>>

export interface Call {
  info: RequestInfo
  method: string
  query: Query
  /** Media type of the body without parameters; empty where there is none. */
  contentType: string
  /** The Accept header: discovery has several forms. */
  accept: string | undefined
  /** The If-None-Match header: which state of a document is there already. */
  ifNoneMatch?: string | undefined
  /** For the default field manager. */
  userAgent: string
  user: UserInfo
  /** Of the server's time, the one that it takes from: of who has proved to be it, whomever the call acts as. */
  share: string
  /** Reads and decodes the body; undefined where it is empty. Called once, after authorization. */
  readBody(): Promise<Body | undefined>
  /** Told to the client beside the answer. */
  warnings: string[]
}

export interface Body extends Decoded {
  /** For error messages that quote what was sent. */
  text: string
  /** Why the text could not be decoded; the value is undefined then. Each kind of request says it in its own words. */
  error?: string
  /** True where it was no text: `text` has a character for each of the first bytes then. */
  binary?: true
}

export interface Answer {
  status: number
  /** An object, a list or a Status; frozen and shared. Strings and bytes are sent as they are. */
  body: object | string | Buffer
  /** Beside those that every answer has; names and values, alternating. */
  headers?: readonly string[]
  /** `no-cache, private` unless given. */
  cacheControl?: string
  /** Where it is neither plain text nor the JSON or YAML that the client asked for. */
  contentType?: string
  /** The kind that the body shows, so that it can be turned into a Table. */
  resource?: Resource
  /** True where the body is a list whose items are stored objects. */
  list?: boolean
  /** The last field of the body, which lacks it: a list, of which each element is made when it is sent. */
  elements?: { field: string; of: Iterable<object> }
}

/** One event on its way to a watcher. ERROR carries a Status. */
export interface WatchMessage {
  type: 'ADDED' | 'MODIFIED' | 'DELETED' | 'BOOKMARK' | 'ERROR'
  object: object
}

/** Where a watch delivers to. Both functions are called synchronously from the store's commit and must be quick. */
export interface WatchSink {
  /** Returns false where enough is buffered: the watch then waits for `resume`. */
  send(message: WatchMessage): boolean
  /** The server ends the watch: a timeout, an error that was sent before, shutdown. */
  end(): void
}

export interface RunningWatch extends Disposable {
  /** What was buffered has gone out. */
  resume(): void
}

/** A watch that was accepted. Nothing is delivered before `start`. */
export interface AcceptedWatch {
  resource: Resource
  start(sink: WatchSink): RunningWatch
}

/** What admission looks at. It may change `object` in place before validation, and throws a StatusError to refuse. */
export interface AdmissionRequest {
  operation: 'CREATE' | 'UPDATE' | 'DELETE' | 'CONNECT'
  resource: Resource
  /** Of the object, where it is another than the resource's. */
  kind?: { group: string; version: string; kind: string }
  subresource: string
  namespace: string
  name: string
  /** The new object: a private copy. Undefined for DELETE. */
  object: KubeObject | undefined
  oldObject: KubeObject | undefined
  user: UserInfo
  dryRun: boolean
  /** Those of the request, as `CreateOptions`, `UpdateOptions` or `DeleteOptions`: what webhooks are told of them. */
  options?: object
  /** What the write is part of; undefined for CONNECT. */
  transaction: Transaction | undefined
  warn(message: string): void
}
