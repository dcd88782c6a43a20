import "../without-telemetry.ts";
import { createRequire } from "node:module";
import { dirname, join } from "node:path";
import { arch, platform } from "node:process";
import koffi from "koffi";

/** Something the library made, by its address. */
export type Handle = bigint;

type NativeFunction = (...values: unknown[]) => unknown;

/** What onnxruntime said went wrong. */
class OnnxRuntimeError extends Error {
  override readonly name = "OnnxRuntimeError";
}

/** The version of the table of functions that we ask for; onnxruntime 1.x gives any up to x. */
const API_VERSION = 23;

/** OrtErrorCode and friends of onnxruntime_c_api.h. */
const LOG_ERRORS = 3;
const LOG_FATAL = 4;
const OPTIMISE_ALL = 99;
const DEVICE_ALLOCATOR = 0;
const DEFAULT_MEMORY = 0;
const FIRST_DEVICE = 0;

const FILES: Partial<Record<NodeJS.Platform, string>> = {
  linux: "libonnxruntime.so.1",
  darwin: "libonnxruntime.1.30.0.dylib",
  win32: "onnxruntime.dll",
};

/** The library that the package onnxruntime-node ships. Its own binding copies every output, so keys and values could not stay in place. */
function libraryPath(): string {
  const file = FILES[platform];
  if (file === undefined) throw new Error(`onnxruntime-node has no library for ${platform}`);
  const entry = createRequire(import.meta.url).resolve("onnxruntime-node");
  return join(dirname(entry), "..", "bin", "napi-v6", platform, arch, file);
}

/** A path in the characters that the library takes them in. */
const PATH_TYPE = platform === "win32" ? "str16" : "str";

/**
 * onnxruntime's C API: the functions that we use, by their places in its table `OrtApi`, to which new ones are only ever appended
 * (https://onnxruntime.ai/docs/api/c/struct_ort_api.html). Each throws {@link OnnxRuntimeError} with what the library said.
 */
function openLibrary() {
  // Kept, because koffi unloads a library that nobody refers to.
  const handle = koffi.load(libraryPath());
  const base: unknown = handle.func("void *OrtGetApiBase()")();
  const getApi: NativeFunction = koffi.decode(koffi.decode(base, "void *"), koffi.proto("void *(uint32_t version)"));
  const table: unknown = getApi(API_VERSION);
  const at = (position: number, signature: string): NativeFunction =>
    koffi.decode(koffi.decode(table, position * koffi.sizeof("void *"), "void *"), koffi.proto(signature));
  const messageOf = at(2, "const char *(void *status)");
  const releaseStatus = at(93, "void (void *status)");

  const checked = (position: number, parameters: string) => {
    const call = at(position, `void *(${parameters})`);
    return (...values: unknown[]): void => {
      const status: unknown = call(...values);
      if (status === null) return;
      const message: unknown = messageOf(status);
      releaseStatus(status);
      throw new OnnxRuntimeError(String(message));
    };
  };
  /** A function whose last parameter is where it puts what it made. */
  const maker = (position: number, parameters: string) => {
    const call = checked(position, `${parameters}${parameters === "" ? "" : ", "}_Out_ void **made`);
    return (...values: unknown[]): Handle => {
      const made: [unknown] = [null];
      call(...values, made);
      if (typeof made[0] !== "bigint") throw new OnnxRuntimeError("onnxruntime made nothing");
      return made[0];
    };
  };
  const releaser = (position: number) => {
    const call = at(position, "void (void *handle)");
    return (handle: Handle): void => {
      call(handle);
    };
  };

  const createEnvironment = maker(3, "int severity, const char *name");
  const createMemoryInfo = maker(69, "int allocator, int memory");
  const createNamedMemoryInfo = maker(68, "const char *name, int allocator, int device, int memory");
  return {
    handle,
    /** One for the process; onnxruntime counts who asked for it. */
    environment: createEnvironment(LOG_ERRORS, "attune"),
    /** Says of memory that it is this process' own. */
    hostMemory: createMemoryInfo(DEVICE_ALLOCATOR, DEFAULT_MEMORY),
    /** Says of memory that it is a WebGPU buffer. */
    webGpuMemory: createNamedMemoryInfo("WebGPU_Buf", DEVICE_ALLOCATOR, FIRST_DEVICE, DEFAULT_MEMORY),
    createOptions: maker(10, ""),
    disableMemoryPattern: checked(17, "void *options"),
    setLogSeverity: checked(22, "void *options, int severity"),
    setOptimisation: checked(23, "void *options, int level"),
    setIntraOpThreads: checked(24, "void *options, int threads"),
    setInterOpThreads: checked(25, "void *options, int threads"),
    setEntry: checked(130, "void *options, const char *key, const char *value"),
    appendProvider: checked(
      216,
      "void *options, const char *name, const char **keys, const char **values, size_t settings",
    ),
    createSession: maker(7, `void *environment, ${PATH_TYPE} path, void *options`),
    createSessionFromArray: maker(8, "void *environment, void *model, size_t length, void *options"),
    createTensor: maker(49, "void *memory, void *data, size_t bytes, int64_t *shape, size_t dimensions, int type"),
    createAllocator: maker(131, "void *session, void *memory"),
    allocateTensor: maker(48, "void *allocator, int64_t *shape, size_t dimensions, int type"),
    /** Where a tensor's values are; of a WebGPU buffer, what WebGPU calls it. */
    dataOf: maker(51, "void *tensor"),
    createBinding: maker(134, "void *session"),
    bindInput: checked(136, "void *binding, const char *name, void *value"),
    bindOutput: checked(137, "void *binding, const char *name, void *value"),
    runBound: checked(133, "void *session, void *options, void *binding"),
    releaseSession: releaser(95),
    releaseTensor: releaser(96),
    releaseOptions: releaser(100),
    releaseAllocator: releaser(132),
    releaseBinding: releaser(135),
  };
}

let library: ReturnType<typeof openLibrary> | null = null;

/** The library, loaded the first time somebody needs it. */
export function onnxruntime(): ReturnType<typeof openLibrary> {
  library ??= openLibrary();
  return library;
}

/** What computes: onnxruntime's execution providers, of which the processor's is in every session. */
export type Provider = "cpu" | "webgpu";

export type SessionSettings = {
  /** Physical cores to compute on; 0 lets onnxruntime choose. */
  threads: number;
  provider: Provider;
  /** Whether errors are only thrown, and not written to stderr too. */
  quiet?: boolean;
  /** Whether shapes seen before get one piece of memory for all of a run's values. */
  memoryPattern?: boolean;
};

/** @throws OnnxRuntimeError where the provider finds no device */
export function sessionOptions({ threads, provider, quiet = false, memoryPattern = true }: SessionSettings): Handle {
  const ort = onnxruntime();
  const options = ort.createOptions();
  try {
    ort.setLogSeverity(options, quiet ? LOG_FATAL : LOG_ERRORS);
    ort.setOptimisation(options, OPTIMISE_ALL);
    if (!memoryPattern) ort.disableMemoryPattern(options);
    ort.setIntraOpThreads(options, threads);
    ort.setInterOpThreads(options, 1);
    // Threads wait busily within a run only: between two they would take the cores of other sessions, and of who feeds this one.
    ort.setEntry(options, "session.force_spinning_stop", "1");
    if (provider === "webgpu") ort.appendProvider(options, "WebGPU", [], [], 0);
  } catch (error) {
    ort.releaseOptions(options);
    throw error;
  }
  return options;
}
