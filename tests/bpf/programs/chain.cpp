// Names that C++ mangles: a template's member, a constructor, an operator, a lambda.
#include "nap.h"
#include <functional>
#include <string>
#include <vector>

namespace shop {
template <typename Item>
struct Shelf {
  __attribute__((noinline)) void sort(const std::vector<Item> &items) {
    nap();
    AFTERWARDS;
    (void)items;
  }
};

struct Basket {
  __attribute__((noinline)) explicit Basket(int items) {
    Shelf<std::pair<int, char>>().sort({{items, 'x'}});
    AFTERWARDS;
  }
  __attribute__((noinline)) bool operator<(const Basket &other) const;
};

bool Basket::operator<(const Basket &other) const {
  auto pay = [this](int items) __attribute__((noinline)) {
    Basket basket(items);
    AFTERWARDS;
  };
  pay(3);
  AFTERWARDS;
  return this == &other;
}
}  // namespace shop

int main() {
  alignas(shop::Basket) char basket[sizeof(shop::Basket)];
  auto *first = reinterpret_cast<shop::Basket *>(basket);
  return *first < *first;
}
