/**
 * A fixed orthogonal change of basis for the residual stream: xR, with R = C ⊗ H of a cosine and a Hadamard matrix. It spreads a few
 * large channels over all of them, so that one scale a token and one a matrix row lose little where blocks of 32 had one each
 * (QuaRot, Ashkboos et al. 2024, section 4). Weights are rotated when they are built, so computing with them costs nothing extra.
 *
 * @param size of the vectors; the largest power of two in it becomes Hadamard, the rest cosine.
 */
export class Rotation {
  readonly #size: number;
  /** Rows and columns of the Hadamard factor. */
  readonly #inner: number;
  /** [outer, outer]: the orthonormal cosine transform (DCT-II). */
  readonly #cosine: Float64Array;

  constructor(size: number) {
    this.#size = size;
    this.#inner = size & -size;
    this.#cosine = cosineMatrix(size / this.#inner);
  }

  /** Rotates each row of a matrix [rows, size] in place. */
  rows(matrix: Float32Array): Float32Array {
    const vector = new Float64Array(this.#size);
    const turned = new Float64Array(this.#size);
    for (let start = 0; start < matrix.length; start += this.#size) {
      for (let index = 0; index < this.#size; index++) vector[index] = matrix[start + index] ?? 0;
      this.#rotate(vector, turned);
      matrix.set(turned, start);
    }
    return matrix;
  }

  /** Rotates each column of a matrix [size, columns], as what is written into the residual stream has to be: RᵀW. */
  columns(matrix: Float32Array): Float32Array {
    const columns = matrix.length / this.#size;
    return transpose(this.rows(transpose(matrix, this.#size, columns)), columns, this.#size);
  }

  #rotate(vector: Float64Array, turned: Float64Array): void {
    const inner = this.#inner;
    const outer = this.#size / inner;
    for (let part = 0; part < outer; part++) hadamard(vector.subarray(part * inner, (part + 1) * inner));
    turned.fill(0);
    for (let from = 0; from < outer; from++) {
      for (let to = 0; to < outer; to++) {
        const factor = this.#cosine[from * outer + to] ?? 0;
        for (let index = 0; index < inner; index++) {
          turned[to * inner + index] = (turned[to * inner + index] ?? 0) + factor * (vector[from * inner + index] ?? 0);
        }
      }
    }
  }
}

/** The fast Walsh–Hadamard transform, orthonormal, in place; the length is a power of two. */
function hadamard(vector: Float64Array): void {
  for (let half = 1; half < vector.length; half *= 2) {
    for (let start = 0; start < vector.length; start += 2 * half) {
      for (let index = start; index < start + half; index++) {
        const a = vector[index] ?? 0;
        const b = vector[index + half] ?? 0;
        vector[index] = a + b;
        vector[index + half] = a - b;
      }
    }
  }
  const scale = 1 / Math.sqrt(vector.length);
  for (let index = 0; index < vector.length; index++) vector[index] = (vector[index] ?? 0) * scale;
}

function cosineMatrix(size: number): Float64Array {
  const matrix = new Float64Array(size * size);
  for (let row = 0; row < size; row++) {
    const scale = Math.sqrt((row === 0 ? 1 : 2) / size);
    for (let column = 0; column < size; column++) {
      matrix[row * size + column] = scale * Math.cos((Math.PI * (2 * column + 1) * row) / (2 * size));
    }
  }
  return matrix;
}

/** [rows, columns] row-major to [columns, rows], in tiles that stay in the processor's cache. */
export function transpose<Data extends Float32Array | Int8Array>(matrix: Data, rows: number, columns: number): Data {
  const tile = 32;
  const transposed = matrix.slice() as Data;
  for (let top = 0; top < rows; top += tile) {
    for (let left = 0; left < columns; left += tile) {
      const bottom = Math.min(rows, top + tile);
      const right = Math.min(columns, left + tile);
      for (let row = top; row < bottom; row++) {
        for (let column = left; column < right; column++) {
          transposed[column * rows + row] = matrix[row * columns + column] ?? 0;
        }
      }
    }
  }
  return transposed;
}
