#include "node/store/parity.h"

#include <isa-l.h>

#include "common/ensure.h"

namespace pairfs {
namespace {

// ISA-L's signatures lack const and take int lengths.
unsigned char* octets(const char* bytes) {
  return reinterpret_cast<unsigned char*>(const_cast<char*>(bytes));
}

// Row r, column c: what data column c counts in column r.
std::vector<unsigned char> make_matrix(uint32_t data_columns, uint32_t parity_columns) {
  const uint32_t rows = data_columns + parity_columns;
  std::vector<unsigned char> matrix(rows * data_columns);
  gf_gen_rs_matrix(matrix.data(), static_cast<int>(rows), static_cast<int>(data_columns));
  return matrix;
}

// out[i] = sum over inputs of coefficients[i * inputs + j] * in[j].
void combine(std::vector<unsigned char> coefficients, std::vector<unsigned char*> in,
             std::vector<unsigned char*> out, size_t bytes) {
  const int inputs = static_cast<int>(in.size()), outputs = static_cast<int>(out.size());
  std::vector<unsigned char> tables(32 * in.size() * out.size());
  ec_init_tables(inputs, outputs, coefficients.data(), tables.data());
  ec_encode_data(static_cast<int>(bytes), inputs, outputs, tables.data(), in.data(), out.data());
}

}  // namespace

void compute_parity(std::span<const char* const> data, std::span<char* const> parity,
                    size_t bytes) {
  const auto matrix =
      make_matrix(static_cast<uint32_t>(data.size()), static_cast<uint32_t>(parity.size()));
  const size_t skip = data.size() * data.size();  // the data's own rows: an identity
  std::vector<unsigned char*> in, out;
  for (const char* column : data) in.push_back(octets(column));
  for (char* column : parity) out.push_back(octets(column));
  combine({matrix.begin() + static_cast<ptrdiff_t>(skip), matrix.end()}, in, out, bytes);
}

void reconstruct_column(uint32_t data_columns, uint32_t parity_columns,
                        std::span<const GivenColumn> given, uint32_t wanted, char* into,
                        size_t bytes) {
  ENSURE(given.size() == data_columns, "{} columns for {}", given.size(), data_columns);
  const auto matrix = make_matrix(data_columns, parity_columns);
  std::vector<unsigned char> rows, inverse(data_columns * data_columns);
  std::vector<unsigned char*> in;
  for (const GivenColumn& column : given) {
    const auto row = matrix.begin() + column.number * data_columns;
    rows.insert(rows.end(), row, row + data_columns);
    in.push_back(octets(column.bytes));
  }
  const int singular =
      gf_invert_matrix(rows.data(), inverse.data(), static_cast<int>(data_columns));
  ENSURE(singular == 0, "columns do not determine column {} of {}", wanted, data_columns);
  const auto row = inverse.begin() + wanted * data_columns;
  combine({row, row + data_columns}, in, {octets(into)}, bytes);
}

}  // namespace pairfs
