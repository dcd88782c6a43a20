/** Path of the real model, which `npm test` obtains before it starts the tests. */
export function testModelPath(): string {
  const path = process.env.ATTUNE_TEST_GGUF;
  if (path === undefined || path === "") {
    throw new Error("ATTUNE_TEST_GGUF is not set. Run the tests with `npm test`, which obtains the model and sets it.");
  }
  return path;
}
