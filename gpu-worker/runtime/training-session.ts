import { gradientName } from "../graph/training/lora.ts";
import type { Purpose } from "../graph/training/step.ts";
import { Binding, Session } from "./onnxruntime/session.ts";
import { Tensor, type TensorArray } from "./onnxruntime/tensor.ts";
import { ParameterSet } from "./parameter-set.ts";

/**
 * A training step in onnxruntime. Parameters and gradients are read and written where they are: nothing is copied, and what an optimiser
 * changes counts from the next step on. `run` blocks the calling thread.
 */
export class TrainingSession {
  readonly parameters: ParameterSet;
  /** ∂loss/∂parameters of the last step, laid out as the parameters; zeros where the graph computes none. */
  readonly gradients: ParameterSet;
  readonly #session: Session;
  readonly #binding: Binding;
  readonly #tensors: Tensor[] = [];

  /**
   * @param model the path of an ONNX file, or a whole model in memory.
   * @param purpose what the graph was built for
   * @throws OnnxRuntimeError where the model cannot be loaded
   */
  constructor(model: string | Uint8Array, parameters: ParameterSet, purpose: Purpose, threads = 0) {
    this.parameters = parameters;
    this.gradients = new ParameterSet(purpose === "train" ? parameters.parts : []);
    // A pattern is a second copy of all activations (1.7 GB for 1,024 tokens of SmolLM2-135M) and 3 s of page faults, and saves nothing.
    this.#session = new Session(model, { threads, provider: "cpu", memoryPattern: false });
    this.#binding = new Binding(this.#session);
    for (const { name, values, shape } of parameters.parts) this.#binding.input(name, this.#tensor(values, shape));
    for (const { name, values, shape } of this.gradients.parts) {
      this.#binding.output(gradientName(name), this.#tensor(values, shape));
    }
  }

  #tensor(values: Float32Array, shape: readonly number[]): Tensor {
    const tensor = new Tensor(values, shape);
    this.#tensors.push(tensor);
    return tensor;
  }

  /** Copies values to where the graph reads them. */
  feed(name: string, data: TensorArray, shape: readonly number[]): void {
    this.#binding.feed(name, data, shape);
  }

  /** Where the next run writes an output; the same memory for the same shape. */
  result(name: string, shape: readonly number[]): Float32Array {
    return this.#binding.result(name, shape);
  }

  /** @throws OnnxRuntimeError */
  run(): void {
    this.#binding.run();
  }

  release(): void {
    this.#binding.release();
    for (const tensor of this.#tensors) tensor.release();
    this.#session.release();
  }
}
