#include "smarm/base/intrusive_list.h"

#include <list>
#include <random>
#include <vector>

#include <doctest/doctest.h>

#include "../support/child.h"

using namespace smarm;
using smarm::testing::run_in_child;

namespace {

struct Element : ListNode<Element> {
    explicit Element(int element_id) : id(element_id) {}
    const int id;
};

std::vector<int> ids(const List<Element>& list) {
    std::vector<int> found;
    list.for_each([&](Element& element) { found.push_back(element.id); });
    return found;
}

}  // namespace

TEST_CASE("elements come out in the order in which they went in") {
    List<Element> list;
    Element a(1), b(2), c(3);
    CHECK(list.empty());
    CHECK(list.front() == nullptr);
    for (Element* element : {&a, &b, &c}) list.push_back(*element);
    CHECK(ids(list) == std::vector{1, 2, 3});
    CHECK(list.size() == 3);
    CHECK(list.front() == &a);
    for (Element* element : {&a, &b, &c}) CHECK(list.pop_front() == element);
    CHECK(list.pop_front() == nullptr);
}

TEST_CASE("an element can be removed from the front, the middle and the end, and pushed again") {
    List<Element> list;
    Element a(1), b(2), c(3);
    for (Element* element : {&a, &b, &c}) list.push_back(*element);
    list.remove(b);
    CHECK_FALSE(b.in_list());
    CHECK(ids(list) == std::vector{1, 3});
    list.remove(c);
    list.push_back(b);
    CHECK(ids(list) == std::vector{1, 2});
    list.remove(a);
    CHECK(ids(list) == std::vector{2});
    list.remove(b);
    CHECK(list.empty());
    CHECK(list.size() == 0);
}

TEST_CASE("an element may move from one list to another") {
    List<Element> first, second;
    Element element(1);
    first.push_back(element);
    first.remove(element);
    second.push_back(element);
    CHECK(first.empty());
    CHECK(second.pop_front() == &element);
}

TEST_CASE("random operations give what std::list gives") {
    std::mt19937 random(6);
    List<Element> list;
    std::list<int> model;
    std::list<Element> elements;
    std::vector<Element*> by_id;
    for (int id = 0; id < 50; ++id) by_id.push_back(&elements.emplace_back(id));
    for (int step = 0; step < 10'000; ++step) {
        Element& element = *by_id[random() % by_id.size()];
        if (random() % 8 == 0) {
            const Element* popped = list.pop_front();
            REQUIRE((popped == nullptr) == model.empty());
            if (popped) REQUIRE(popped->id == model.front());
            if (popped) model.pop_front();
        } else if (element.in_list()) {
            list.remove(element);
            model.remove(element.id);
        } else {
            list.push_back(element);
            model.push_back(element.id);
        }
        REQUIRE(ids(list) == std::vector(model.begin(), model.end()));
        REQUIRE(list.size() == model.size());
    }
    while (list.pop_front()) {}
}

TEST_CASE("misuse is an assertion failure") {
    CHECK(run_in_child([] {
              List<Element> list;
              Element element(1);
              list.push_back(element);
          }).said("an element died while it was in a list"));
    CHECK(run_in_child([] {
              Element element(1);
              List<Element> list;
              list.push_back(element);
          }).said("a list died with elements in it"));
    CHECK(run_in_child([] {
              List<Element> first, second;
              Element element(1);
              first.push_back(element);
              second.push_back(element);
          }).said("one list only"));
    CHECK(run_in_child([] {
              List<Element> first, second;
              Element element(1);
              first.push_back(element);
              second.remove(element);
          }).said("not in this list"));
}
