// Calls an exported product of matrices, and checks it against plain loops.
#include <algorithm>
#include <cmath>
#include <cstdio>
#include <vector>

#include "product.h"

int main() {
  const int rows = 30, depth = 50, columns = 70;
  std::vector<float> a(rows * depth), b(depth * columns), c(rows * columns);
  for (int i = 0; i < rows * depth; i++) a[i] = static_cast<float>(i % 23 - 11) / 8;
  for (int i = 0; i < depth * columns; i++) b[i] = static_cast<float>(i % 17 - 8) / 4;
  product(a.data(), b.data(), c.data());
  float largest = 0;
  for (int i = 0; i < rows; i++)
    for (int j = 0; j < columns; j++) {
      float sum = 0;
      for (int k = 0; k < depth; k++) sum += a[i * depth + k] * b[k * columns + j];
      largest = std::max(largest, std::fabs(sum - c[i * columns + j]));
    }
  std::printf("largest difference %g\n", largest);
  return largest > 1e-3f;
}
