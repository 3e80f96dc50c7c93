/* Calls an exported product of matrices, and checks it against plain loops. */
#include <math.h>
#include <stdio.h>

#include "product.h"

enum { ROWS = 30, DEPTH = 50, COLUMNS = 70 };

int main(void) {
  static float a[ROWS][DEPTH], b[DEPTH][COLUMNS], c[ROWS][COLUMNS];
  for (int i = 0; i < ROWS; i++)
    for (int k = 0; k < DEPTH; k++) a[i][k] = (float)(i - k) / 8;
  for (int k = 0; k < DEPTH; k++)
    for (int j = 0; j < COLUMNS; j++) b[k][j] = (float)(k % 7 - j % 5) / 4;
  product(&a[0][0], &b[0][0], &c[0][0]);
  float largest = 0;
  for (int i = 0; i < ROWS; i++)
    for (int j = 0; j < COLUMNS; j++) {
      float sum = 0;
      for (int k = 0; k < DEPTH; k++) sum += a[i][k] * b[k][j];
      largest = fmaxf(largest, fabsf(sum - c[i][j]));
    }
  printf("largest difference %g\n", largest);
  return largest > 1e-3f;
}
