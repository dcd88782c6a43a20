import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { hubIdHint, hubIdText, isInside, parseHubId } from "../../../gpu-worker/model/hub/hub-id.ts";

const COMMIT = "0123456789abcdef0123456789abcdef01234567";

describe("a hub id", () => {
  test.each([
    ["hf:owner/name", { revision: "main", file: null }],
    ["hf:owner/name@v1.0", { revision: "v1.0", file: null }],
    ["hf:owner/name@refs/pr/3", { revision: "refs/pr/3", file: null }],
    [`hf:owner/name@${COMMIT}`, { revision: COMMIT, file: null }],
    ["hf:owner/name:small.Q4_K_M.gguf", { revision: "main", file: "small.Q4_K_M.gguf" }],
    ["hf:owner/name@dev:Q4/small.gguf", { revision: "dev", file: "Q4/small.gguf" }],
  ])("%s names a repository, a revision and a file", (text, parts) => {
    expect(parseHubId(text)).toEqual({ owner: "owner", name: "name", ...parts });
    expect(hubIdText(parseHubId(text))).toBe(text);
  });

  test.each([
    "hf:",
    "hf:name",
    "hf:owner/name/more",
    "hf:../name",
    "hf:owner/..",
    "hf:owner/name@",
    "hf:owner/name@..",
    "hf:owner/name@a/../../b",
    "hf:owner/name:",
    "hf:owner/name:../x.gguf",
    "hf:owner/name:/etc/x.gguf",
    "hf:owner/name:a\\..\\x.gguf",
    "hf:owner/na me",
  ])("%s is refused, with how to write one", (text) => {
    expect(() => parseHubId(text)).toThrow("Write hf:owner/name");
  });
});

describe("a path that is not there", () => {
  test("and is written like a repository is answered with what to write", () => {
    expect(hubIdHint("Qwen/Qwen2.5-0.5B-Instruct")).toContain("write hf:Qwen/Qwen2.5-0.5B-Instruct.");
    expect(hubIdHint("owner/name@main:a.gguf")).toContain("write hf:owner/name@main:a.gguf.");
  });

  test.each(["model.gguf", "./owner/name", "/owner/name", "models/small.gguf", "a/b/c", "../owner/name"])(
    "and is written like a file, %s, is just missing",
    (path) => expect(hubIdHint(path)).toBe(""),
  );
});

describe("a file name from elsewhere", () => {
  test.each(["a.gguf", "Q4/a.gguf", "..a/b..", "a b.gguf"])("%s stays inside", (file) =>
    expect(isInside(file)).toBe(true),
  );

  test.each(["", ".", "..", "../a", "a/../b", "/a", "a/", "a//b", "C:a", "C:\\a", "a\\b", "a\0b", "a\nb"])(
    "%j is refused",
    (file) => expect(isInside(file)).toBe(false),
  );

  test("that is accepted never leaves its directory, whatever it is", () => {
    const piece = fc.constantFrom("a", "..", ".", "/", "\\", ":", "\0");
    fc.assert(
      fc.property(fc.array(piece, { maxLength: 8 }), (pieces) => {
        const file = pieces.join("");
        fc.pre(isInside(file));
        expect(new URL(encodeURI(file), "file:///root/directory/").pathname).toMatch(/^\/root\/directory\/./);
      }),
    );
  });
});
